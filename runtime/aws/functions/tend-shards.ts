import { partOf } from '../../checkpoint/cut.ts'
import type { SourceBatch, SourcePosition } from '../../connectors/source.ts'
import type { HeadFields } from '../../protocol/item.ts'
import { loadHead } from '../../protocol/log.ts'
import type { Subtask } from '../../stage/subtask.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import type { Environment } from './environment.ts'
import { isMergedElsewhere, type OwnedShard } from './follow-shards.ts'
import { inTime } from './in-time.ts'
import { isEnded, isIdle, readShardMap, watermarkOf, writeShardMap } from './shard-map.ts'
import type { ShardTask } from './shard-task.ts'
import type { SourceShards } from './source-shards.ts'

/** At most so much of a checkpoint's time goes into listing shards, and into reading them, ms; and no more than so much of what the invocation has left. */
const LOOK_MS_MAX = 5_000
const LOOK_PART = 1 / 4

/**
 * What no batch tells a subtask: that a shard of its own is closed and read to its end, and holds the watermark back no longer. True: all of them are, and those who take what
 * came of them have caught up, so that consumers may leave this subtask out of their watermarks.
 */
export async function tendShards(
  environment: Environment,
  topology: Topology,
  task: ShardTask,
  shards: SourceShards,
  checkpoint: number,
): Promise<boolean> {
  const headOf = headsAt(environment, topology, task.subtask.at, checkpoint)
  const looked = await lookUp(environment, task, shards, headOf)
  if (looked === undefined) return false
  const { listed, ends } = looked
  let isOver = false
  const tend = async (position: SourcePosition | undefined, watermark: number): Promise<SourceBatch> => {
    const split = shards.splits[task.shard]!
    const now = shards.now()
    const before = readShardMap(position, split, watermark, now)
    const after = await shards.follow(before, task.shard, listed, ends)
    isOver = isEnded(after)
    const least = watermarkOf(after, shards.idleAfter, now) ?? watermark
    const next = writeShardMap(after)
    const isNews = least > watermark || JSON.stringify(next) !== JSON.stringify(writeShardMap(before))
    const nothing = { records: [], after: () => next, next, done: false }
    return isNews ? { ...nothing, watermark: least } : nothing
  }
  await task.run(subtask => subtask.deliverSource(tend))
  return isOver && (await isTakenOver(task.subtask, shards, listed, headOf))
}

interface Looked {
  readonly listed: readonly OwnedShard[]
  readonly ends: ReadonlySet<string>
}

/** What the stream says of a subtask's shards. It may say nothing, for lack of rights or time: the checkpoint goes on without it. Asked before anything is begun that another environment could overtake. */
async function lookUp(
  environment: Environment,
  task: ShardTask,
  shards: SourceShards,
  headOf: HeadOf,
): Promise<Looked | undefined> {
  const { clock } = environment.ports
  const untilOf = () => clock.now() + Math.min(LOOK_MS_MAX, (environment.deadline - clock.now()) * LOOK_PART)
  let listed: Looked['listed']
  try {
    listed = await inTime(clock, untilOf(), 'which shards there are', shards.list())
  } catch (error) {
    const { name, message } = error as Error
    const log = task.subtask.log
    environment.log('warn', `What has become of the shards of ${log} is not known, and windows may wait: ${message}`, {
      error: name,
    })
    return undefined
  }
  const { head } = await task.run(subtask => subtask.ready())
  const { source, watermark } = head.fields
  const map = readShardMap(source, shards.splits[task.shard]!, watermark, shards.now())
  const ends = new Set(await shards.endsOf(map, task.shard, listed, untilOf()))
  for (const id of ends)
    if (isMergedElsewhere(id, task.shard, listed) && !(await isTakenOver(task.subtask, shards, listed, headOf, [id])))
      ends.delete(id)
  return { listed, ends }
}

/** Where a subtask of the source stands; undefined: behind a later checkpoint. */
export type HeadOf = (subtask: number) => Promise<HeadFields | undefined>

/**
 * Each read once: of many shards that were merged, all may be another subtask's. With `checkpoint` as of their cuts, where they have had them: who goes back to it finds them there, and what others have said in
 * their own.
 */
export function headsAt(
  { ports }: Pick<Environment, 'ports'>,
  topology: Topology,
  { stage }: StageTopology,
  checkpoint = Number.POSITIVE_INFINITY,
): HeadOf {
  const known = new Map<number, ReturnType<HeadOf>>()
  async function read(subtask: number): Promise<HeadFields | undefined> {
    const { head } = await loadHead(ports.log, topology.log(stage.index, subtask), Number.POSITIVE_INFINITY)
    if (head.fields.lastCut < checkpoint) return head.fields
    return (await partOf(ports.log, topology, stage.index, subtask, checkpoint))?.item.head
  }
  return subtask => {
    const found = known.get(subtask) ?? read(subtask)
    known.set(subtask, found)
    return found
  }
}

/**
 * Whether the shards that came of a subtask's own (or some: `of`), and that others take, have watermarks that are not behind those of the others. Before that, this subtask's watermark is what keeps
 * their records from being late: of two that are merged, one may have been far ahead.
 */
export async function isTakenOver(
  { shard: subtask }: Pick<Subtask, 'shard'>,
  { splits, now, idleAfter }: SourceShards,
  listed: readonly OwnedShard[],
  headOf: HeadOf,
  of: readonly string[] = [splits[subtask]!, ...listed.filter(({ owner }) => owner === subtask).map(({ id }) => id)],
): Promise<boolean> {
  const children = (ids: ReadonlySet<string>) => listed.filter(({ parents }) => parents.some(parent => ids.has(parent)))
  // What is read to its end has children: a list without any is late.
  if (of.some(one => listed.some(({ id }) => id === one) && children(new Set([one])).length === 0)) return false
  const heirs = children(new Set(of)).filter(({ owner }) => owner !== subtask)
  for (const { id, owner } of heirs) {
    const fields = await headOf(owner)
    // There is a later checkpoint by now: nobody waits for this one.
    if (fields === undefined) return false
    const { source, watermark } = fields
    const state = readShardMap(source, splits[owner]!, watermark, now()).get(id)
    if (state === undefined) return false
    if (state !== 'ended') {
      // A silent one has no part in that watermark either, and may never say anything.
      if (state.watermark < watermark && !isIdle(state, idleAfter, now())) return false
      continue
    }
    // Read to its end as well: what came of it stands for it.
    for (const heir of children(new Set([id]))) if (!heirs.includes(heir) && heir.owner !== subtask) heirs.push(heir)
  }
  return true
}
