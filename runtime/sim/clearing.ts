import type { Cleared, Clearing } from '../ports.ts'
import type { Services } from './ports.ts'
import type { Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'
import { compareUtf8 } from './utf8.ts'

/** DynamoDB, as tables whose rows are looked at in no order that means anything. */
export function simClearing(
  { dice }: Simulation,
  { log, state }: Pick<Services, 'log' | 'state'>,
  { call }: Pick<Sandbox, 'call'>,
): Clearing {
  /** `rows`: by name, what is in there, in one order. */
  function clear<K>(
    name: string,
    rows: () => Iterable<readonly [string, Map<K, unknown>]>,
    isLeft: (name: string) => boolean,
    after: string | undefined,
    limit: number,
  ): Promise<Cleared> {
    const place = (name: string, key: K) => `${name}\u0000${typeof key === 'number' ? String(key).padStart(16, '0') : key}`
    const page = (of: () => boolean): Cleared => {
      const all = [...rows()].flatMap(([name, keys]) => [...keys.keys()].map(key => ({ name, keys, key, at: place(name, key) })))
      const behind = all.filter(({ at }) => after === undefined || compareUtf8(at, after) > 0)
      const looked = behind.sort((a, b) => compareUtf8(a.at, b.at)).slice(0, limit)
      const left = looked.filter(({ name }) => isLeft(name) && of())
      for (const { keys, key } of left) keys.delete(key)
      return { deleted: left.length, next: looked.length < limit ? undefined : looked.at(-1)!.at }
    }
    const applyInPart = () => void page(() => dice.chance(0.5))
    return call({ name: `clearing.${name}`, isWrite: true, apply: () => page(() => true), applyInPart })
  }

  return {
    log: (...page) => clear('log', () => [...log.logs].map(([name, { slots }]) => [name, slots] as const), ...page),
    state: (...page) => clear('state', () => state, ...page),
  }
}
