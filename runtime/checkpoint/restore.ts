import type { SinkState } from '../connectors/sink.ts'
import type { Shape } from '../graph/shape.ts'
import type { Blobs, CommitLog, Ports } from '../ports.ts'
import type { HeadFields } from '../protocol/item.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { mergeRuns, type Runs, RunWriter } from '../snapshot/runs.ts'
import type { Topology } from '../stage/topology.ts'
import { writeBase } from './base.ts'
import { beginLog } from './begin-log.ts'
import type { Beginning } from './beginning.ts'
import { channelsOf, segmentsOf } from './blob-names.ts'
import { decide, decisions } from './decision.ts'
import { formerOf } from './divide/former.ts'
import { divideState } from './divide/state.ts'
import { encodeManifest, listManifests, type Manifest, manifestKey, type SubtaskSnapshot } from './manifest.ts'
import { writeMarker } from './marker.ts'
import { KEPT } from './retention.ts'
import { checkNewestRestore } from './run-meta.ts'
import { sinkCommitContext } from './sink-context.ts'
import { tableWriter, writeWhole } from './table-writer.ts'
import { markTakenBack, refuseTakenBack } from './taken-back.ts'
import { unfoldedRuns } from './unfolded.ts'
import { beginningsFrom, isDivided } from './upgrade.ts'

/** What a restored subtask's log begins with, in the place of an attempt's id. */
const RESTORED = 'restored'

/**
 * The checkpoints that a run can be started from, oldest first. A manifest alone is none: its checkpoint may have been decided otherwise (protocol.md, D6), or a write that lands late has brought back one that
 * retention had deleted, with what it names. So these are the newest only, which are what retention leaves.
 */
export async function completeCheckpoints(ports: { blobs: Pick<Blobs, 'list'>; log: CommitLog }, run: string): Promise<number[]> {
  const manifests = new Set(await listManifests(ports.blobs, run))
  return (await decisions(ports.log, run))
    .filter(d => d.decision.outcome === 'complete' && manifests.has(d.checkpoint))
    .map(d => d.checkpoint)
    .slice(-KEPT)
}

/**
 * Whether a hold on checkpoint n of `run` has come in time, asked once it is there: a retention that has not seen it is of a checkpoint that was complete before this looks, and leaves the newest ones.
 */
export async function isInTime(ports: Pick<Ports, 'blobs' | 'log'>, run: string, n: number): Promise<boolean> {
  return (await completeCheckpoints(ports, run)).includes(n)
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
  /** The old run stays, and may go on. */
  readonly fork?: boolean
  /** Each subtask of the new run. Default: `beginningsFrom` the checkpoint. */
  readonly beginnings?: readonly Beginning[]
}

/**
 * Starts `topology.run` from a manifest: each subtask's log begins at its cut, with the state of then behind it, and what was on
 * its way to it as its first input. With another parallelism, all that goes to whoever owns its key group now (checkpoint/divide). The new run's first checkpoint is this one, complete. `from` holds the blobs that the manifest names; nothing refers to them
 * afterwards. Idempotent.
 *
 * @throws SnapshotError when a part is missing or damaged
 */
export async function restore(
  topology: Topology,
  manifest: Manifest,
  from: Blobs,
  ports: Ports,
  { newSinks = false, fork = false, beginnings: given }: RestoreOptions = {},
): Promise<void> {
  const startedAt = ports.clock.now()
  const { checkpoint } = manifest
  const beginnings = given ?? (await beginningsFrom(manifest, topology, from))
  const divided = await dividedRuns(topology, manifest, beginnings, from, ports)
  const prepared: SubtaskSnapshot[] = []
  for (const b of beginnings) {
    const known = divided?.get(topology.log(b.stage, b.shard)) ?? []
    const runs = divided === undefined ? await restoreState(topology, checkpoint, b, from, ports) : known
    prepared.push(await prepareSubtask(topology, checkpoint, b, runs, from, ports))
  }
  // What sinks take back is gone. So all that takes long, or can fail, is done by then.
  if (!newSinks && !fork) await beforeSinks(topology, manifest, ports)
  const sinks = newSinks ? undefined : await restoreSinks(topology, manifest, from, fork)
  const subtasks = prepared.map(p => ({ ...p, head: { ...p.head, sinks: sinks?.get(p.log) ?? [] } }))
  for (const { log, version, head } of subtasks) await beginLog(ports.log, log, version, RESTORED, head)
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

/** All that a subtask begins with but its log, and what its sinks go on with. */
async function prepareSubtask(
  topology: Topology,
  checkpoint: number,
  beginning: Beginning,
  runs: Runs,
  from: Blobs,
  ports: Ports,
): Promise<SubtaskSnapshot> {
  const { stage, shard, version } = beginning
  const log = topology.log(stage, shard)
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
  return { stage, shard, log, version, attempt: RESTORED, head, channelState, runs, folded: version, changes: [] }
}

/** The cut's own head, on streams where nothing has been sent or accepted yet. */
function restoredHead(
  { sentClosed: _, ...cut }: HeadFields,
  checkpoint: number,
  version: number,
  channelState: readonly string[],
): HeadFields {
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
async function restoreState(
  topology: Topology,
  checkpoint: number,
  { stage, shard, version, state }: Beginning,
  from: Blobs,
  ports: Ports,
): Promise<Runs> {
  const { snapshot, space } = state!
  const prefix = `${segmentsOf(topology.log(stage, shard))}${checkpoint}`
  const both = { get: async (key: string) => (await from.get(key)) ?? ports.blobs.get(key) }
  const table = tableWriter(topology, version, ports)
  if (snapshot.runs === undefined)
    throw new SnapshotError(`checkpoint ${checkpoint} holds no state of ${snapshot.log}: its run kept no snapshots`)
  const unfolded = await unfoldedRuns(space.run, space, snapshot, `${prefix}-unfolded`, from, ports)
  const whole = await writeWhole(mergeRuns(both, [...snapshot.runs, ...unfolded]), new RunWriter(ports, prefix), table)
  await table?.flush()
  for (const { blob } of unfolded.flat()) await ports.blobs.delete(blob)
  return whole
}

/** The state of each subtask, by its log, where it is divided among others than it was; undefined: it is not. */
async function dividedRuns(topology: Topology, manifest: Manifest, beginnings: readonly Beginning[], from: Blobs, ports: Ports) {
  if (!isDivided(manifest, topology)) return undefined
  const table = tableWriter(topology, beginnings[0]!.version, ports)
  return divideState(formerOf(manifest, topology), from, ports, table)
}

/**
 * Whoever dies from here on leaves sinks behind that end at this checkpoint, maybe: no newer one can be started from then. Of two who do this at a time, one sees the other.
 * @throws LostRaceError, StateMismatchError
 */
async function beforeSinks(topology: Topology, { run, checkpoint }: Manifest, ports: Ports): Promise<void> {
  const sinks = topology.stages.flatMap(at => at.stage.nodes.filter(n => n.sink !== undefined).map(n => topology.sinkOf(n)))
  if (sinks.every(sink => sink.restore === undefined)) return
  await markTakenBack(ports.log, run, checkpoint)
  await refuseTakenBack(ports.log, run, checkpoint, `run ${run}`)
  await checkNewestRestore(ports, topology.run)
}

/**
 * D7: what the old run staged up to this checkpoint is committed, for the crash between its manifest and that. Gives the sink states that each subtask goes on with, by its log. At another parallelism a sink that can't say what they
 * are begins anew.
 */
async function restoreSinks(
  topology: Topology,
  manifest: Manifest,
  from: Blobs,
  fork: boolean,
): Promise<ReadonlyMap<string, HeadFields['sinks']>> {
  const { run, checkpoint } = manifest
  const states = new Map<string, [number, SinkState][]>()
  for (const at of topology.stages) {
    for (const [index, node] of at.stage.nodes.filter(node => node.sink !== undefined).entries()) {
      const sink = topology.sinkOf(node)
      const id = at.stage.ids.get(node)!
      const mine = partsOfSink(manifest, id)
      // Those that have ended keep their places (Sink.commit).
      const parts = Array.from(
        { length: Math.max(0, ...mine.map(s => s.shard + 1)) },
        (_, shard) => mine.find(s => s.shard === shard)?.state,
      )
      const inOrder = mine.some(s => s.ended)
      const context = { ...sinkCommitContext(topology, run, id, from), parallelism: at.parallelism, inOrder, fork }
      const restored = await sink.restore?.(run, checkpoint, parts, context)
      if (sink.restore === undefined) await sink.commit?.(run, checkpoint, parts, context)
      const own = restored ?? (parts.length === at.parallelism && !inOrder ? parts : [])
      for (const [shard, state] of own.entries()) {
        if (state === undefined) continue
        const log = topology.log(at.stage.index, shard)
        states.set(log, [...(states.get(log) ?? []), [index, state]])
      }
    }
  }
  return states
}

/** What each subtask had staged of a sink; commit items number the sinks of their stage. None of one that was not there. */
function partsOfSink({ shape, subtasks }: Manifest, id: string) {
  const { stages }: Shape = JSON.parse(shape)
  const stage = stages.findIndex(s => s.operators.some(o => o.id === id))
  const index = stages[stage]?.operators.filter(o => o.type === 'sink').findIndex(o => o.id === id)
  return subtasks
    .filter(s => s.stage === stage)
    .map(({ shard, ended, head }) => ({ shard, ended, state: head.sinks.find(([i]) => i === index)?.[1] }))
}
