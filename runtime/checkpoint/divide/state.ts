import { unguarded } from '../../graph/guarded.ts'
import { keyGroup, keyOfId, subtaskOf } from '../../graph/key.ts'
import type { Shape } from '../../graph/shape.ts'
import { stateOfText } from '../../graph/state-text.ts'
import type { Blobs, Ports } from '../../ports.ts'
import { SnapshotError } from '../../snapshot/error.ts'
import { joinAddress, type SnapshotItem, splitAddress } from '../../snapshot/item.ts'
import { addRun, mergeRuns, type Runs, RunWriter } from '../../snapshot/runs.ts'
import type { StageTopology } from '../../stage/topology.ts'
import { isOf, operatorOf } from '../../state/address.ts'
import type { StateDeclaration } from '../../state/declaration.ts'
import { segmentsOf } from '../blob-names.ts'
import { spaceIn } from '../fold.ts'
import { type TableWriter, writeWhole } from '../table-writer.ts'
import { unfoldedRuns } from '../unfolded.ts'
import { type Former, type FormerStage, type FormerSubtask, heirsIn, originsIn } from './former.ts'

/** Who gets an item, and under which address. */
interface Place {
  readonly at: StageTopology
  readonly shard: number
  readonly address: string
}

/** An operator that goes on with its state, and those of its states that it still has. */
interface Home {
  readonly at: StageTopology
  readonly states: readonly StateDeclaration[]
}

/** Where the entries of one partition go. */
interface Partition extends Home {
  readonly pk: string
  /** It holds timers, not state. */
  readonly timers: boolean
  readonly shards: readonly number[]
  readonly to: (shard: number) => string
}

/** Behind the operator's id: no key's id begins like that (state/address.ts). */
const TIMERS = 'timers|'

/**
 * The keyed state of all former subtasks, each item with who owns its key group now, in the stage that has its operator now; of broadcast state, of which each subtask has a copy, that of the one whose first key group it has got.
 * What no operator keeps any more is left out. One reading of what there is. Memory: a segment for each heir of one subtask. `table` gets all of it besides.
 *
 * Where subtasks took over from others, these go first, so that the newest item of an address counts, and what came of that is merged once more.
 *
 * @throws SnapshotError a part is gone or damaged, or can't be divided
 */
export async function divideState(
  former: Former,
  from: Pick<Blobs, 'get'>,
  ports: Ports,
  table: TableWriter | undefined,
): Promise<Map<string, Runs>> {
  const layered = former.stages.some(s => s.ended.length > 0)
  const divided = new Map<string, Runs>()
  const homes = homesOf(former)
  for (const stage of former.stages) {
    for (const s of [...stage.ended, ...stage.subtasks]) {
      const dealt = await divideSubtask(former, stage, s, homes, from, ports, layered ? undefined : table)
      for (const [log, run] of dealt)
        divided.set(log, await addRun(ports, prefixOf(former, log), divided.get(log) ?? [], run, { hides: layered }))
    }
  }
  if (layered) for (const [log, runs] of divided) divided.set(log, await flattened(former, log, runs, ports, table))
  await table?.flush()
  return divided
}

function prefixOf({ manifest }: Former, log: string): string {
  return `${segmentsOf(log)}${manifest.checkpoint}`
}

/** A run for each log that gets any of it. */
async function divideSubtask(
  former: Former,
  stage: FormerStage,
  s: FormerSubtask,
  homes: ReadonlyMap<string, Home>,
  from: Pick<Blobs, 'get'>,
  ports: Ports,
  table: TableWriter | undefined,
) {
  const places = placesOf(former, stage, s, homes)
  const writers = new Map<string, RunWriter>()
  for await (const item of itemsOf(former, s, from, ports)) {
    // It may hide one of a subtask that this one took over from.
    if (item.value === undefined && stage.ended.length === 0) continue
    for (const { at, shard, address } of places(item)) {
      const log = former.topology.log(at.stage.index, shard)
      const writer = writers.get(log) ?? new RunWriter(ports, prefixOf(former, log))
      writers.set(log, writer)
      const moved = address === item.address ? item : { ...item, address }
      await writer.add(moved)
      await table?.add(moved)
    }
  }
  return Promise.all(Array.from(writers, async ([log, writer]) => [log, await writer.finish()] as const))
}

/** One run without deleted items. */
async function flattened(former: Former, log: string, runs: Runs, ports: Ports, table: TableWriter | undefined): Promise<Runs> {
  const whole = await writeWhole(mergeRuns(ports.blobs, runs), new RunWriter(ports, prefixOf(former, log)), table)
  for (const { blob } of runs.flat()) await ports.blobs.delete(blob)
  return whole
}

async function* itemsOf(
  { manifest, topology }: Former,
  s: FormerSubtask,
  from: Pick<Blobs, 'get'>,
  ports: Ports,
): AsyncGenerator<SnapshotItem> {
  if (s.runs === undefined)
    throw new SnapshotError(`checkpoint ${manifest.checkpoint} holds no state of ${s.log}: its run kept no snapshots`)
  const prefix = `${segmentsOf(topology.log(0, 0))}${manifest.checkpoint}-unfolded`
  const unfolded = await unfoldedRuns(manifest.run, spaceIn(manifest, s), s, prefix, from, ports)
  const both = { get: async (key: string) => (await from.get(key)) ?? ports.blobs.get(key) }
  yield* mergeRuns(both, [...s.runs, ...unfolded])
  for (const { blob } of unfolded.flat()) await ports.blobs.delete(blob)
}

/** By id of the operator. Those that keep something are in one stage only. */
function homesOf({ topology }: Former): ReadonlyMap<string, Home> {
  const wanted: Shape = JSON.parse(topology.shape)
  return new Map(
    topology.stages.flatMap(at =>
      wanted.stages[at.stage.index]!.operators.map(o => [o.id, { at, states: o.states.map(stateOfText) }] as const),
    ),
  )
}

/** Items come by partition: what is known of the last one holds for the next. */
function placesOf(
  former: Former,
  stage: FormerStage,
  s: FormerSubtask,
  homes: ReadonlyMap<string, Home>,
): (item: SnapshotItem) => readonly Place[] {
  const ids = former.shape.stages[stage.index]!.operators.map(o => o.id)
  let last: Partition | undefined
  return item => {
    const { pk, sk } = splitAddress(item.address)
    if (last?.pk !== pk) {
      const operator = operatorOf(pk, ids)
      if (operator === undefined)
        throw new SnapshotError(`the checkpoint has state at ${JSON.stringify(pk)}, which is no operator's of its stage`)
      const home = homes.get(operator)
      if (home === undefined) return []
      const rest = pk.slice(operator.length + 1)
      const broadcast = /^b\d+$/.test(rest)
      const shards = broadcast ? copiesFrom(former, stage, s, home.at) : [ownerOf(former, s, home.at, rest, item)]
      const timers = rest.startsWith(TIMERS)
      last = { ...home, pk, timers, shards, to: shard => (broadcast ? `${operator}|b${shard}` : pk) }
    }
    const { at, states, timers, shards, to } = last
    // Timers are an operator's whatever else it keeps.
    if (!timers && !states.some(s => isOf(s, sk))) return []
    return shards.map(shard => {
      const moved = to(shard)
      return { at, shard, address: moved === pk ? item.address : joinAddress(moved, sk) }
    })
  }
}

/** Who goes on with a subtask's copy of broadcast state: of one that has ended nobody. */
function copiesFrom(former: Former, stage: FormerStage, s: FormerSubtask, at: StageTopology): number[] {
  return Array.from({ length: at.parallelism }, (_, to) => to).filter(to => originsIn(former, stage, at, to)[0] === s)
}

/** `rest`: of a partition, behind its operator (state/address.ts). */
function ownerOf(former: Former, s: FormerSubtask, at: StageTopology, rest: string, item: SnapshotItem): number {
  const { keyGroups } = former.topology.plan.options
  const timers = rest.startsWith(TIMERS)
  const key = timers ? undefined : keyOfId(unguarded(rest))
  const group = timers ? Number(rest.slice(TIMERS.length)) : key === undefined ? item.group : keyGroup(key, keyGroups)
  if (group !== undefined) return subtaskOf(group, keyGroups, at.parallelism)
  const [heir, ...others] = heirsIn(former, s, at)
  if (others.length === 0) return heir!
  throw new SnapshotError(
    `the state of ${s.log} has a key of more than 200 characters that an older Millrace has written, without its key group: it can't be divided, so start with the parallelism that it had, or with less`,
  )
}
