import { unguarded } from '../../graph/guarded.ts'
import { keyGroup, keyOfId, subtaskOf } from '../../graph/key.ts'
import type { Blobs, Ports } from '../../ports.ts'
import { SnapshotError } from '../../snapshot/error.ts'
import { joinAddress, type SnapshotItem, splitAddress } from '../../snapshot/item.ts'
import { addRun, mergeRuns, type Runs, RunWriter } from '../../snapshot/runs.ts'
import type { StageTopology } from '../../stage/topology.ts'
import { operatorOf } from '../../state/address.ts'
import { segmentsOf } from '../blob-names.ts'
import { spaceIn } from '../fold.ts'
import type { SubtaskSnapshot } from '../manifest.ts'
import type { TableWriter } from '../table-writer.ts'
import { unfoldedRuns } from '../unfolded.ts'
import { type Former, type FormerStage, heirsIn, originsOf } from './former.ts'

/** Who gets an item, and under which address. */
interface Place {
  readonly at: StageTopology
  readonly shard: number
  readonly address: string
}

/**
 * The keyed state of all former subtasks, each item with who owns its key group now; of broadcast state, of which each subtask has a copy, that of the one whose first key group it has got.
 * One reading of what there is. Memory: a segment for each heir of one subtask. `table` gets all of it besides.
 *
 * @throws SnapshotError a part is gone or damaged, or can't be divided
 */
export async function divideState(
  former: Former,
  from: Pick<Blobs, 'get'>,
  ports: Ports,
  table: TableWriter | undefined,
): Promise<Map<string, Runs>> {
  const { manifest, topology } = former
  const divided = new Map<string, Runs>()
  for (const stage of former.stages) {
    for (const s of stage.subtasks) {
      const places = placesOf(former, stage, s)
      const writers = new Map<string, RunWriter>()
      for await (const item of itemsOf(former, stage, s, from, ports)) {
        for (const { at, shard, address } of places(item)) {
          const log = topology.log(at.stage.index, shard)
          const writer = writers.get(log) ?? new RunWriter(ports, `${segmentsOf(log)}${manifest.checkpoint}`)
          writers.set(log, writer)
          const moved = address === item.address ? item : { ...item, address }
          await writer.add(moved)
          await table?.add(moved)
        }
      }
      await table?.flush()
      for (const [log, writer] of writers)
        divided.set(
          log,
          await addRun(ports, `${segmentsOf(log)}${manifest.checkpoint}`, divided.get(log) ?? [], await writer.finish()),
        )
    }
  }
  return divided
}

async function* itemsOf(
  { manifest, topology }: Former,
  { heirs: [heir] }: FormerStage,
  s: SubtaskSnapshot,
  from: Pick<Blobs, 'get'>,
  ports: Ports,
): AsyncGenerator<SnapshotItem> {
  if (s.runs === undefined)
    throw new SnapshotError(`checkpoint ${manifest.checkpoint} holds no state of ${s.log}: its run kept no snapshots`)
  const prefix = `${segmentsOf(topology.log(heir!.stage.index, 0))}${manifest.checkpoint}-unfolded`
  const unfolded = await unfoldedRuns(manifest.run, spaceIn(manifest, s), s, prefix, from, ports)
  const both = { get: async (key: string) => (await from.get(key)) ?? ports.blobs.get(key) }
  for await (const item of mergeRuns(both, [...s.runs, ...unfolded])) if (item.value !== undefined) yield item
  for (const { blob } of unfolded.flat()) await ports.blobs.delete(blob)
}

/** Items come by partition: what is known of the last one holds for the next. */
function placesOf(former: Former, stage: FormerStage, s: SubtaskSnapshot): (item: SnapshotItem) => readonly Place[] {
  const homes = new Map(stage.heirs.flatMap(at => [...at.stage.ids.values()].map(id => [id, at] as const)))
  let last:
    | {
        readonly pk: string
        readonly shards: readonly number[]
        readonly at: StageTopology
        readonly to: (shard: number) => string
      }
    | undefined
  return item => {
    const { pk, sk } = splitAddress(item.address)
    if (last?.pk !== pk) {
      const operator = operatorOf(pk, homes.keys())
      if (operator === undefined) throw new SnapshotError(`the state of ${s.log} is of an operator that is not there: ${pk}`)
      const at = homes.get(operator)!
      const rest = pk.slice(operator.length + 1)
      const broadcast = /^b\d+$/.test(rest)
      const shards = broadcast ? copiesFrom(former, stage, s.shard, at) : [ownerOf(former, stage, s, at, rest, item)]
      last = { pk, shards, at, to: shard => (broadcast ? `${operator}|b${shard}` : pk) }
    }
    const { shards, at, to } = last
    return shards.map(shard => {
      const moved = to(shard)
      return { at, shard, address: moved === pk ? item.address : joinAddress(moved, sk) }
    })
  }
}

/** Who goes on with a subtask's copy of broadcast state. */
function copiesFrom(former: Former, stage: FormerStage, shard: number, at: StageTopology): number[] {
  return Array.from({ length: at.parallelism }, (_, to) => to).filter(to => originsOf(former, stage, at, to)[0] === shard)
}

/** `rest`: of a partition, behind its operator (state/address.ts). */
function ownerOf(
  former: Former,
  stage: FormerStage,
  s: SubtaskSnapshot,
  at: StageTopology,
  rest: string,
  item: SnapshotItem,
): number {
  const { keyGroups } = former.topology.plan.options
  const [, timers] = /^timers\|(\d+)$/.exec(rest) ?? []
  const key = timers === undefined ? keyOfId(unguarded(rest)) : undefined
  const group = timers !== undefined ? Number(timers) : key === undefined ? item.group : keyGroup(key, keyGroups)
  if (group !== undefined) return subtaskOf(group, keyGroups, at.parallelism)
  const [heir, ...others] = heirsIn(former, stage, s.shard, at)
  if (others.length === 0) return heir!
  throw new SnapshotError(
    `the state of ${s.log} has a key of more than 200 characters that an older Millrace has written, without its key group: it can't be divided, so start with the parallelism that it had, or with less`,
  )
}
