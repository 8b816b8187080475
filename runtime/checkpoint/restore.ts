import type { Blobs, CommitLog, Ports } from '../ports.ts'
import { BrokenLogError } from '../protocol/errors.ts'
import type { HeadFields } from '../protocol/item.ts'
import { putSlot } from '../protocol/log.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { splitAddress } from '../snapshot/item.ts'
import { mergeRuns, RunWriter, type SortedRun } from '../snapshot/runs.ts'
import type { Topology } from '../stage/topology.ts'
import { writeBase } from './base.ts'
import { type Beginning, sameBeginnings } from './beginning.ts'
import { channelsOf, segmentsOf } from './blob-names.ts'
import { decide, decisions } from './decision.ts'
import { encodeManifest, listManifests, type Manifest, manifestKey, type SubtaskSnapshot } from './manifest.ts'
import { writeMarker } from './marker.ts'
import { sinkCommitContext } from './sink-context.ts'
import { unfoldedRuns } from './unfolded.ts'

/** What a restored subtask's log begins with, in the place of an attempt's id. */
const RESTORED = 'restored'
const UPSERT_ITEMS = 1000

/** The checkpoints that a run can be started from, oldest first. A manifest alone is none: its checkpoint may have been decided otherwise (protocol.md, D6). */
export async function completeCheckpoints(ports: { blobs: Pick<Blobs, 'list'>; log: CommitLog }, run: string): Promise<number[]> {
  const manifests = new Set(await listManifests(ports.blobs, run))
  return (await decisions(ports.log, run))
    .filter(d => d.decision.outcome === 'complete' && manifests.has(d.checkpoint))
    .map(d => d.checkpoint)
}

/**
 * Ends a run, so that a restored one may take its place (protocol.md, D8): its next checkpoint is decided before anybody can complete it. A checkpoint that won that
 * race is complete, and newer than what was known before: look for the newest one afterwards. Idempotent.
 */
export async function supersede(log: CommitLog, run: string, now: number, reason: string): Promise<void> {
  for (;;) {
    const last = (await decisions(log, run)).at(-1)
    if (last?.decision.outcome === 'superseded') return
    const next = (last?.checkpoint ?? 0) + 1
    await decide(log, run, next, { outcome: 'superseded', startedAt: now, decidedAt: now, bytes: 0, reason })
  }
}

/** How a run begins. */
export interface RestoreOptions {
  /** What the old run had staged is left to it, and the sinks begin anew; it may still be running, and its sinks may be others. */
  readonly newSinks?: boolean
  /** Each subtask of the new run. Default: as they were, for a run of the same shape. */
  readonly beginnings?: readonly Beginning[]
}

/**
 * Starts `topology.run` from a manifest: each subtask's log begins at its cut, with the state of then behind it, and what was on
 * its way to it as its first input. The new run's first checkpoint is this one, complete. `from` holds the blobs that the manifest names; nothing refers to them
 * afterwards. Idempotent.
 *
 * @throws SnapshotError when a part is missing or damaged
 */
export async function restore(
  topology: Topology,
  manifest: Manifest,
  from: Blobs,
  ports: Ports,
  { newSinks = false, beginnings = sameBeginnings(manifest, topology) }: RestoreOptions = {},
): Promise<void> {
  const startedAt = ports.clock.now()
  const { checkpoint } = manifest
  const sinks = newSinks ? undefined : await restoreSinks(topology, manifest, beginnings, from)
  const subtasks: SubtaskSnapshot[] = []
  for (const b of beginnings) {
    const head = { ...b.head, sinks: sinks?.get(b) ?? [] }
    subtasks.push(await restoreSubtask(topology, checkpoint, { ...b, head }, from, ports))
  }
  const { shape, splits, run } = topology
  const createdAt = ports.clock.now()
  const restored = encodeManifest({ pipeline: topology.pipeline, run, checkpoint, createdAt, shape, splits, subtasks })
  await ports.blobs.putIfAbsent(manifestKey(run, checkpoint), restored)
  await decide(ports.log, run, checkpoint, {
    outcome: 'complete',
    startedAt,
    decidedAt: ports.clock.now(),
    bytes: 0,
    reason: `restored from checkpoint ${checkpoint} of run ${manifest.run}`,
    restored: true,
  })
}

async function restoreSubtask(
  topology: Topology,
  checkpoint: number,
  beginning: Beginning,
  from: Blobs,
  ports: Ports,
): Promise<SubtaskSnapshot> {
  const { stage, shard, version } = beginning
  const log = topology.log(stage, shard)
  const runs = [await restoreState(topology, checkpoint, beginning, from, ports)].filter(run => run.length > 0)
  const channelState: string[] = []
  for (const [i, blob] of beginning.channelState.entries()) {
    const bytes = typeof blob === 'string' ? await from.get(blob) : blob
    if (bytes === undefined) throw new SnapshotError(`channel state ${blob} is gone, though the manifest names it`)
    const copy = `${channelsOf(log)}${checkpoint}/${RESTORED}-${i}`
    await ports.blobs.put(copy, bytes)
    channelState.push(copy)
  }
  const head = restoredHead(beginning.head, checkpoint, version, channelState)
  if (topology.stateBackend.kind === 'segments') await writeBase(ports.store, log, { version, runs, checkpoint })
  else await writeMarker(ports.store, log, version)
  const item = { kind: 'commit', attempt: RESTORED, prev: '', lastCommit: [0, ''], head, chunk: undefined } as const
  if (!(await putSlot(ports.log, log, version, item))) throw new BrokenLogError(`slot ${version} of ${log}, a new log, is taken`)
  // From here on the log is read from its first slot, whose number is that of the cut.
  await ports.log.raiseFloor(log, version)
  return { stage, shard, log, version, attempt: RESTORED, head, channelState, runs, folded: version, changes: [] }
}

/** The cut's own head, on streams where nothing has been sent or accepted yet. */
function restoredHead(cut: HeadFields, checkpoint: number, version: number, channelState: readonly string[]): HeadFields {
  return {
    ...cut,
    position: { seq: '', offset: 0 },
    accepted: [],
    sent: [],
    lastCut: checkpoint,
    alignment: { checkpoint, version, watermark: cut.watermark, pending: [], channelState },
    injection: channelState.length === 0 ? undefined : { blobs: channelState, taken: 0 },
  }
}

/** Base items, and the same as the first segments of the new run's own snapshots; with the backend `segments` these are the base. */
async function restoreState(topology: Topology, checkpoint: number, beginning: Beginning, from: Blobs, ports: Ports) {
  const { stage, shard, version, states, takes } = beginning
  const prefix = `${segmentsOf(topology.log(stage, shard))}${checkpoint}`
  const both = { get: async (key: string) => (await from.get(key)) ?? ports.blobs.get(key) }
  const writer = new RunWriter(ports, prefix)
  let items: { pk: string; sk: string; v: number; value: Uint8Array; expiry?: number }[] = []
  const runs: SortedRun[] = []
  const unfolded: SortedRun[] = []
  for (const { snapshot, space } of states) {
    if (snapshot.runs === undefined)
      throw new SnapshotError(`checkpoint ${checkpoint} holds no state of ${snapshot.log}: its run kept no snapshots`)
    const newest = await unfoldedRuns(space.run, space, snapshot, `${prefix}-unfolded`, from, ports)
    unfolded.push(...newest)
    runs.push(...snapshot.runs, ...newest)
  }
  for await (const item of mergeRuns(both, runs)) {
    const { address, value, expiry } = item
    if (value === undefined || !takes(address)) continue
    await writer.add(item)
    if (topology.stateBackend.kind === 'segments') continue
    const { pk, sk } = splitAddress(address)
    items.push({ pk: `${topology.run}|${pk}`, sk, v: version, value, ...(expiry !== undefined && { expiry }) })
    if (items.length < UPSERT_ITEMS) continue
    await ports.store.upsert(items)
    items = []
  }
  if (items.length > 0) await ports.store.upsert(items)
  for (const { blob } of unfolded.flat()) await ports.blobs.delete(blob)
  return writer.finish()
}

/** D7: what the old run staged up to this checkpoint is committed, for the crash between its manifest and that. Gives each subtask's sink states to go on with. */
async function restoreSinks(
  topology: Topology,
  { run, checkpoint }: Manifest,
  beginnings: readonly Beginning[],
  from: Blobs,
): Promise<ReadonlyMap<Beginning, HeadFields['sinks']>> {
  const states = new Map(beginnings.map(b => [b, [...b.head.sinks]]))
  for (const at of topology.stages) {
    const mine = beginnings.filter(b => b.stage === at.stage.index).sort((a, b) => a.shard - b.shard)
    const nodes = at.stage.nodes.filter(node => node.sink !== undefined)
    for (const [index, node] of nodes.entries()) {
      const sink = topology.sinkOf(node)
      const parts = mine.map(b => b.head.sinks.find(([i]) => i === index)?.[1])
      const context = sinkCommitContext(topology, run, at.stage.ids.get(node)!, from)
      if (sink.restore === undefined) {
        await sink.commit?.(run, checkpoint, parts, context)
        continue
      }
      const restored = await sink.restore(run, checkpoint, parts, context)
      for (const [i, b] of mine.entries()) {
        const others = states.get(b)!.filter(([sinkIndex]) => sinkIndex !== index)
        states.set(b, restored[i] === undefined ? others : [...others, [index, restored[i]]])
      }
    }
  }
  return states
}
