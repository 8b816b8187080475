import { type Bucket, keysOf } from './blobs.ts'
import type { Rows } from './scenario.ts'
import type { World } from './world.ts'

/** What readers of each sink see: runs in their order, in each the objects in theirs. */
export function rowsOf({ services: { bucket }, plan }: World): Rows {
  const sinks = plan.stages.flatMap(s => s.nodes.flatMap(n => n.sink?.name ?? []))
  return Object.fromEntries(sinks.map(name => [name, visible(bucket, `results/${name}/`)]))
}

function visible(bucket: Bucket, prefix: string): any[] {
  // The ids of runs begin with a number, in 36 digits, that rises.
  const run = (key: string) => Number.parseInt(/run=([^-/]+)/.exec(key)![1]!, 36)
  const keys = keysOf(bucket, prefix).sort((a, b) => run(a) - run(b))
  return keys.flatMap(key =>
    textOf(bucket, key)
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line)),
  )
}

/** What is wrong with the rows of a run, in words; undefined: they are those of the other one, in any order. */
export function rowsDifference(expected: Rows, found: Rows): string | undefined {
  for (const sink of Object.keys({ ...expected, ...found })) {
    const difference = multisetDifference(expected[sink] ?? [], found[sink] ?? [])
    if (difference !== undefined) return `the sink '${sink}' does not hold what it holds without faults: ${difference}`
  }
  return undefined
}

/** The same of dead letters. `restored`: one may be there twice, since its stage got the record in another frame. */
export function lettersDifference(expected: readonly any[], found: readonly any[], restored: boolean): string | undefined {
  const idsOf = (letters: readonly any[]) => {
    const ids = letters.map(({ raw, value }) => raw ?? JSON.stringify(value))
    return restored ? [...new Set(ids)] : ids
  }
  const difference = multisetDifference(idsOf(expected), idsOf(found))
  return difference && `the dead letters are not those that there are without faults: ${difference}`
}

/** Rows that are shown. */
const SHOWN = 5

function multisetDifference(expected: readonly unknown[], found: readonly unknown[]): string | undefined {
  const left = new Map<string, number>()
  for (const row of expected) count(left, row, 1)
  for (const row of found) count(left, row, -1)
  const some = (sign: number) => [...left].flatMap(([row, n]) => Array<string>(Math.max(0, sign * n)).fill(row))
  const [missing, extra] = [some(1), some(-1)]
  const list = (what: string, rows: readonly string[]) =>
    rows.length === 0 ? [] : [`${rows.length} ${what}, ${rows.slice(0, SHOWN).join(' ')}${rows.length > SHOWN ? ' …' : ''}`]
  const parts = [...list('missing', missing), ...list('too many', extra)]
  return parts.length === 0 ? undefined : `of ${expected.length}, ${parts.join('; ')}`
}

function count(rows: Map<string, number>, row: unknown, by: number): void {
  const text = typeof row === 'string' ? row : JSON.stringify(row)
  rows.set(text, (rows.get(text) ?? 0) + by)
}

/** Dead letters that were kept: of each what it is a letter of, once for each place in a stream. */
export function lettersOf({ services: { bucket } }: World): any[] {
  return keysOf(bucket, 'dead-letters/').map(key => JSON.parse(textOf(bucket, key)))
}

function textOf(bucket: Bucket, key: string): string {
  return Buffer.from(bucket.get(key)!).toString()
}
