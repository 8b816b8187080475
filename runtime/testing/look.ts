import { canonicalKey, type Key, keyGroup, subtaskOf } from '../graph/key.ts'
import { readStates, statesOf } from '../inspect/state.ts'
import type { KeyedOperator } from '../operators/keyed-operator.ts'
import { defaultLimits } from '../stage/attempt.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import { Subtask } from '../stage/subtask.ts'
import type { StageTopology } from '../stage/topology.ts'
import { BROADCAST_KEY } from '../state/broadcast.ts'
import { suggest } from '../suggest.ts'
import type { EnvironmentOptions } from './environment.ts'
import { TestKitError } from './error.ts'

/** Timers of one key, epoch ms, each once, earliest first. */
export interface KeyTimers {
  /** Due by the watermark. */
  readonly event: readonly number[]
  /** Due by the clock. */
  readonly processing: readonly number[]
}

/** What an operator keeps for a key, by the name of the state. Undefined key: its broadcast state. */
export async function lookAtState(
  options: EnvironmentOptions,
  operator: string,
  key: Key | undefined,
): Promise<Record<string, unknown>> {
  return atOperator(options, operator, key, async (found, canonical, watermark) => {
    const { declarations } = found.state
    const states = statesOf({ declarations }, { operator })
    await found.state.load([canonical])
    const now = options.ports.clock.now()
    const read = await readStates(found.state, { key: canonical, declarations }, states, watermark, now)
    const isMap = new Set(states.filter(s => s.kind === 'map').map(s => s.name))
    return Object.fromEntries(read.map(({ state, value }) => [state, isMap.has(state) ? new Map(value as []) : value]))
  })
}

export async function lookAtTimers(options: EnvironmentOptions, operator: string, key: Key): Promise<KeyTimers> {
  if (key === undefined) throw new TestKitError(`timers of '${operator}' are a key's: timers('${operator}', key)`)
  return atOperator(options, operator, key, async ({ eventTimers, processingTimers }, canonical) => {
    const timesOf = (timers: typeof eventTimers) => [
      ...new Set(timers.all().flatMap(timer => (timer.key === canonical ? [timer.at] : []))),
    ]
    return { event: timesOf(eventTimers), processing: timesOf(processingTimers) }
  })
}

/** Has a new environment of the operator's subtask looked at: what it knows is what is committed. */
async function atOperator<T>(
  { topology, ports }: EnvironmentOptions,
  operator: string,
  key: Key | undefined,
  look: (found: KeyedOperator, key: string | number, watermark: number) => Promise<T>,
): Promise<T> {
  const { at, id, hasBroadcast } = find(topology.stages, operator)
  if (key === undefined && !hasBroadcast)
    throw new TestKitError(`'${operator}' has no broadcast state, but state of each key: state('${operator}', key)`)
  const { keyGroups } = topology.plan.options
  const canonical = key === undefined ? BROADCAST_KEY : canonicalKey(key, operator)
  const shard = key === undefined ? 0 : subtaskOf(keyGroup(canonical, keyGroups), keyGroups, at.parallelism)
  const subtask = new Subtask(topology, at, shard, ports, defaultLimits)
  try {
    const { chain, working } = await subtask.ready()
    // Once the input has ended, event time goes no further: what is there then stays.
    const watermark = working.watermark === Number.POSITIVE_INFINITY ? Number.NEGATIVE_INFINITY : working.watermark
    return await look(chain.keyed[chain.keyedIds.indexOf(id)]!, canonical, watermark)
  } finally {
    await subtask.close()
  }
}

function find(stages: readonly StageTopology[], operator: string) {
  const all = stages.flatMap(at =>
    keyedNodes(at.stage).map(({ operatorId: id, node: { name, inputs } }) => {
      const hasBroadcast = inputs.some(edges => edges.some(({ exchange }) => exchange.kind === 'broadcast'))
      return { at, id, name, hasBroadcast }
    }),
  )
  const found = all.filter(({ id, name }) => id === operator || name === operator)
  if (found.length === 1) return found[0]!
  if (found.length > 1)
    throw new TestKitError(
      `${found.length} operators are called '${operator}', ${found.map(f => f.id).join(', ')}: give yours a .uid() or a .name()`,
    )
  const known = all.map(({ id, name }) => (/-\w{6}(-\d+)?$/.test(id) ? name : id))
  throw new TestKitError(
    `no operator with state or timers is called '${operator}'${suggest(operator, [...new Set(known)]) || ': there is none'}`,
  )
}
