import type { Ports } from '../ports.ts'
import type { SnapshotItem } from '../snapshot/item.ts'
import { addRun, type Runs } from '../snapshot/runs.ts'
import type { Topology } from '../stage/topology.ts'
import { readBase } from './base.ts'
import { segmentsOf } from './blob-names.ts'
import { type ChangesRef, type Gathered, gatherChanges, readChanges } from './changes.ts'
import type { Part } from './cut.ts'
import { expiredBy, expiryBounds } from './expired.ts'
import { type LoggedChunk, spaceOf } from './fold.ts'
import { foldToSegments } from './fold-to-segments.ts'
import { readManifest, type SubtaskSnapshot } from './manifest.ts'
import { readMarker } from './marker.ts'
import { loggedChunks, type Materialised, type MaterialiseOptions, materialise, type SnapshotFold } from './materialise.ts'
import type { CheckpointStart } from './start.ts'
import { keepsState, materialiseStateless } from './stateless.ts'
import { runTarget } from './unfolded.ts'
import { CHANGE_BYTES, waitingBytes } from './waiting.ts'

/** A part of a checkpoint, durable by itself: see SubtaskSnapshot. */
export interface MaterialisedPart extends Materialised, Pick<SubtaskSnapshot, 'runs' | 'folded' | 'changes' | 'settled'> {
  /** It is as the manifest before has it: behind it nothing is to be cleaned any more. */
  readonly carried?: true
}

/** How much may be logged before it is folded. */
export interface FoldLimits {
  readonly bytesMax: number
  /** Changes, which a cold start replays one by one: each may have less than a byte in the log. Default: any number. */
  readonly changesMax?: number
  /** Bytes of memory that the entries take which were written: none of them may leave it until they are folded. Default: any number. */
  readonly waitingMax?: number
  /** Checkpoints. */
  readonly checkpointsMax: number
  /** Slots of the log, which a cold start reads one by one. Default: any number. */
  readonly slotsMax?: number
}

export interface PartOptions extends Pick<MaterialiseOptions, 'exclusive' | 'itemsMax'> {
  readonly defer?: FoldLimits
}

/**
 * Makes a part of a checkpoint durable: what changed since the last complete checkpoint is folded into the base and, if the run keeps snapshots, into a segment.
 *
 * `defer`: not each time. Up to these limits the snapshot just keeps the changes as they were logged, and the fold comes later: the longer it waits, the more of what was
 * written has been overwritten or deleted by then. Until then the log stays behind the marker, a cold start replays it, and what was written stays in memory.
 */
export async function materialisePart(
  topology: Topology,
  start: CheckpointStart,
  part: Part,
  ports: Ports,
  { defer, ...options }: PartOptions = {},
): Promise<MaterialisedPart> {
  if (!keepsState(topology, part)) return materialiseStateless(topology, start, part, ports)
  const at = topology.stages[part.stage]!
  const { log, version } = part
  if (topology.stateBackend.kind === 'segments') return materialiseSegments(topology, start, part, ports, { defer, ...options })
  if (!topology.snapshots) {
    const done = await materialise(topology, at, part.shard, version, ports, options)
    return { ...done, runs: undefined, folded: version, changes: [] }
  }
  const before = await snapshotBefore(topology, start, log, ports)
  const prefix = `${segmentsOf(log)}${start.checkpoint}`
  const deferred = defer && (await deferFold(topology, before, prefix, part, ports, defer))
  if (deferred !== undefined) return deferred
  let runs: Runs = before.runs
  const expired = new Map<string, number>()
  const bounds = expiryBounds(at.stage, part.item.head, ports.clock.now())
  const expiredOf = expiredBy(topology.run, bounds)
  const isExpired = (item: SnapshotItem) => {
    const found = expiredOf(item)
    if (found !== undefined) expired.set(found.pk, found.before)
    return found !== undefined
  }
  const tookOver = topology.shard(part.stage, part.shard).parents.length > 0
  const snapshot: SnapshotFold = {
    since: before.folded,
    changes: () => allChanges(before, log, version, ports),
    target: runTarget(topology.run, prefix, ports, async written => {
      runs = await addRun(ports, prefix, runs, written, { hides: tookOver, isExpired })
    }),
  }
  const done = await materialise(topology, at, part.shard, version, ports, { ...options, snapshot, expired: bounds })
  return { ...done, expired, runs, folded: version, changes: [] }
}

/** With the backend `segments` the base's runs are the snapshot's too. */
async function materialiseSegments(
  topology: Topology,
  start: CheckpointStart,
  part: Part,
  ports: Ports,
  { defer, itemsMax }: PartOptions,
): Promise<MaterialisedPart> {
  const { log, version, stage, shard, item } = part
  const { checkpoint } = start
  const { version: marker } = await readBase(ports.store, log)
  // The base is ahead of the cut, as it was folded to relieve memory: what the last checkpoint had, and what was logged since, are of the cut.
  const limits = marker > version ? UNLIMITED : marker < version ? defer : undefined
  if (limits !== undefined) {
    const before = await snapshotBefore(topology, start, log, ports)
    const deferred = await deferFold(topology, before, `${segmentsOf(log)}${checkpoint}`, part, ports, limits)
    if (deferred !== undefined) return deferred
  }
  const at = topology.stages[stage]!
  const expired = expiryBounds(at.stage, item.head, ports.clock.now())
  const done = await foldToSegments(topology, at, shard, version, ports, { checkpoint, itemsMax, expired })
  return { ...done, folded: version, changes: [] }
}

const ANY = Number.POSITIVE_INFINITY
const UNLIMITED: FoldLimits = { bytesMax: ANY, checkpointsMax: ANY }

/** What the last complete checkpoint had of a subtask. */
interface Before {
  readonly version: number
  readonly runs: Runs
  readonly folded: number
  readonly changes: readonly ChangesRef[]
}

async function snapshotBefore(topology: Topology, { previous }: CheckpointStart, log: string, ports: Ports): Promise<Before> {
  if (previous === undefined) return emptySince(await ports.log.floor(log))
  const subtask = (await readManifest(ports.blobs, topology.run, previous)).subtasks.find(s => s.log === log)
  // A log that began since: all that it has is there.
  if (subtask === undefined) return emptySince(await ports.log.floor(log))
  const { version, runs = [], folded = version, changes = [] } = subtask
  return { version, runs, folded, changes }
}

/** A log that took over from others begins behind them, and its state is in their runs: its own hold what has changed since. */
function emptySince(version: number): Before {
  return { version, runs: [], folded: version, changes: [] }
}

/** Undefined: there is so much by now that it is to be folded. */
async function deferFold(
  topology: Topology,
  before: Before,
  prefix: string,
  part: Part,
  ports: Ports,
  limits: FoldLimits,
): Promise<MaterialisedPart | undefined> {
  const { log, version } = part
  const { bytesMax, checkpointsMax, changesMax = ANY, slotsMax = ANY, waitingMax = ANY } = limits
  const marker = await readMarker(ports.store, log)
  if (before.changes.length >= checkpointsMax || version - marker > slotsMax) return undefined
  const knownBytes = before.changes.reduce((sum, c) => sum + c.bytes, 0)
  const known = countOf(before.changes)
  const gathered = await gatherChanges(
    loggedChunks(ports, log, before.version, version),
    bytesMax - knownBytes,
    changesMax - known,
  )
  if (gathered === undefined) return undefined
  const { runs, folded, changes } = before
  const bytes = gathered.changes.length
  const unfolded = { from: marker, to: marker, items: 0, bytes, tombstones: new Set<string>(), runs, folded }
  if (bytes === 0) return { ...unfolded, changes }
  const waiting = await countWaiting(topology, before, gathered, part, ports, waitingMax)
  if (waiting !== undefined && waiting > waitingMax) return undefined
  const blob = `${prefix}-changes-${ports.random.id()}`
  await ports.blobs.put(blob, gathered.changes)
  return { ...unfolded, changes: [...changes, { blob, bytes, count: gathered.count, ...(waiting !== undefined && { waiting }) }] }
}

/**
 * How much memory waits for a fold. Undefined: no more than `max`, by what was counted last and as many entries since as there are changes. All of them are only read when there may be more.
 */
async function countWaiting(
  topology: Topology,
  { changes }: Before,
  gathered: Gathered,
  { stage, shard }: Part,
  ports: Ports,
  max: number,
): Promise<number | undefined> {
  const last = changes.findLastIndex(c => c.waiting !== undefined)
  const since = countOf(changes.slice(last + 1)) + gathered.count
  if ((changes[last]?.waiting ?? 0) + since * CHANGE_BYTES <= max) return undefined
  const all = async function* () {
    yield* readChanges(ports.blobs, changes)
    yield gathered.changes
  }
  return waitingBytes(spaceOf(topology, topology.stages[stage]!.stage, shard), all(), max)
}

function countOf(changes: readonly ChangesRef[]): number {
  return changes.reduce((sum, c) => sum + (c.count ?? 0), 0)
}

/** What the runs of the last checkpoint do not hold: as that checkpoint kept it, and as it was logged since. */
async function* allChanges(before: Before, log: string, cut: number, ports: Ports): AsyncGenerator<LoggedChunk> {
  for await (const chunk of readChanges(ports.blobs, before.changes)) yield { version: before.version, chunk }
  yield* loggedChunks(ports, log, before.version, cut)
}
