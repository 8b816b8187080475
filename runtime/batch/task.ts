import { mkdirSync, rmSync } from 'node:fs'
import { segmentsOf, sinkStagingOf } from '../checkpoint/blob-names.ts'
import type { SinkState } from '../connectors/sink.ts'
import { openEmbedded } from '../embedded/ports.ts'
import type { OperatorNode } from '../graph/graph.ts'
import type { Blobs, RangedBlobs } from '../ports.ts'
import type { Counts } from '../protocol/item.ts'
import { directoryBlobs } from '../savepoint/directory.ts'
import type { AttemptLimits } from '../stage/attempt.ts'
import { type DeadLetterNote, Subtask } from '../stage/subtask.ts'
import type { Topology } from '../stage/topology.ts'
import { KEPT_STATE, keepState } from './handover.ts'
import { heldSink } from './held-sink.ts'
import type { Prepared } from './job.ts'
import { writeJson } from './json-file.ts'
import { LAST_CUT } from './last-cut.ts'
import { lazyStore } from './lazy-store.ts'
import { mergeRuns, type SpilledRuns } from './merge.ts'
import { openPiece } from './piece-reader.ts'
import { RunFile, type SortedRun } from './run-file.ts'
import { SpillOutput } from './spill-output.ts'
import { relieving } from './state-memory.ts'

/** One subtask of one stage, from the start of its input to the end. */
export interface Task {
  readonly stage: number
  readonly shard: number
  /** What the stages before have for it, in order of stage, then of subtask; of a source: nothing. */
  readonly inputs: readonly SpilledRuns[]
}

/** What a task has left behind. Plain data. */
export interface TaskResult {
  readonly counts: Counts
  /** By consumer stage, then by its subtask. */
  readonly outputs: Readonly<Record<number, readonly (readonly SortedRun[])[]>>
  /** Of the sinks in the stage, by index. */
  readonly sinks: readonly (readonly [index: number, state: SinkState])[]
  /** Records by sink. */
  readonly written: Readonly<Record<string, number>>
  readonly firstDeadLetter?: DeadLetterNote | undefined
}

/** How far a task has come: of what it has to read. */
export type OnTaskProgress = (fraction: number, records: number) => void

/** A record may bring so much of keys that were not in memory, and all that one commit needs has to be there together. */
const BYTES_PER_RECORD = 1024
const RECORDS_MAX = 250_000
const RECORDS_MIN = 100
/** Between two looks at how far a partition has been read. */
const PROGRESS_RECORDS = 8192

/**
 * Runs one subtask with its own log and state, which end with it: a task that is not finished begins anew. Commits only bound what is in memory.
 *
 * @throws MillraceError whatever stops a subtask
 */
export async function runTask(
  prepared: Prepared,
  task: Task,
  onProgress: OnTaskProgress = () => {},
  signal?: AbortSignal,
): Promise<TaskResult> {
  const { files } = prepared
  const { stage, shard } = task
  const { thenLive } = prepared.job
  const scratch = files.scratch(stage, shard)
  // What is logged is folded at the end then, and may be more than fits in memory.
  const own = await openEmbedded(thenLive ? { directory: emptied(scratch) } : {})
  const store = thenLive ? { ...own.store, close: async () => {} } : lazyStore(scratch)
  const spill = new RunFile(files.spill(stage, shard))
  const outputs: SpillOutput[] = []
  const topology = prepared.topology({
    sinks: taskSinks(prepared),
    snapshots: thenLive,
    output: (...args) => {
      const output = new SpillOutput(spill, ...args)
      outputs.push(output)
      return output
    },
  })
  const ports = { ...own, store, blobs: sharedSinks(own.blobs, directoryBlobs(files.blobs), topology) }
  const at = topology.stages[stage]!
  const limits = limitsOf(prepared.stateMemory)
  const subtask = new Subtask(topology, at, shard, ports, limits, relieving(topology, ports, prepared.stateMemory, thenLive))
  try {
    // What a handover keeps is folded from the log.
    if (!thenLive) for (const operator of (await subtask.ready()).chain.keyed) operator.leaveUnlogged()
    if (at.stage.source === undefined) await readPartition(prepared, subtask, task, onProgress, signal)
    else await readPiece(prepared, subtask, onProgress, signal)
    await subtask.cutSource(LAST_CUT, true)
    const live = subtask.current!
    if (thenLive && at.stage.source === undefined) await keepState(topology, stage, shard, ports)
    const result: TaskResult = {
      counts: { ...live.working.counts },
      outputs: Object.fromEntries(outputs.map(o => [o.stage, o.finish()])),
      sinks: [...live.sinkStates],
      written: Object.fromEntries(live.chain.sinks.map(s => [s.node.sink!.name, s.operator.total])),
      firstDeadLetter: subtask.firstDeadLetter,
    }
    await subtask.close()
    writeJson(files.done(stage, shard), result, { synced: false })
    return result
  } finally {
    await subtask.close().catch(() => {})
    spill.close()
    await store.close()
    await own.close()
    if (thenLive) rmSync(scratch, { recursive: true, force: true })
  }
}

function emptied(directory: string): string {
  rmSync(directory, { recursive: true, force: true }) // of a task that died
  mkdirSync(directory, { recursive: true })
  return directory
}

function limitsOf(stateMemory: number): AttemptLimits {
  const recordsMax = Math.min(RECORDS_MAX, Math.max(RECORDS_MIN, Math.floor(stateMemory / BYTES_PER_RECORD)))
  const never = Number.POSITIVE_INFINITY
  return { recordsMax, timersMax: recordsMax, outputBytesMax: never, durationMsMax: never }
}

/** Sinks that can stage do so; what the others get waits until all is there. */
function taskSinks({ graph, sinks, files }: Prepared): Record<string, ReturnType<typeof heldSink>> {
  return Object.fromEntries(
    sinkNodes(graph.nodes).map((node, i) => {
      const { name } = node.sink!
      const sink = sinks[name] ?? node.sink!.sink
      return [name, sink.commit === undefined ? heldSink(subtask => files.held(i, subtask), sink.describe()) : sink]
    }),
  )
}

/** In the order in which files number them. */
export function sinkNodes(nodes: readonly OperatorNode[]): OperatorNode[] {
  return nodes.filter(node => node.sink !== undefined)
}

/** What sinks stage, and state that a stream goes on with, outlive the task; all else is its own. */
function sharedSinks(own: RangedBlobs, shared: Blobs, { run }: Topology): RangedBlobs {
  const prefixes = [sinkStagingOf(run, '').slice(0, -1), KEPT_STATE, segmentsOf(run)]
  const of = (key: string) => (prefixes.some(prefix => key.startsWith(prefix)) ? shared : own)
  return {
    put: (key, data) => of(key).put(key, data),
    putIfAbsent: (key, data) => of(key).putIfAbsent(key, data),
    get: key => of(key).get(key),
    getRange: async (key, from, to) => (of(key) === own ? own.getRange(key, from, to) : (await shared.get(key))?.slice(from, to)),
    list: key => of(key).list(key),
    delete: key => of(key).delete(key),
  }
}

async function readPiece(
  { job, input }: Prepared,
  subtask: Subtask,
  onProgress: OnTaskProgress,
  signal: AbortSignal | undefined,
): Promise<void> {
  const piece = job.pieces[subtask.at.stage.source!.source!.name]![subtask.shard]!
  let bytes = 0
  const onRead = (read: number) => {
    bytes += read
  }
  const reader = await openPiece(piece, onRead, input)
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = job
  const wants = (timestamp: number) => timestamp >= since && timestamp < until
  try {
    while (subtask.current?.working.sourceDone !== true) {
      signal?.throwIfAborted()
      await subtask.deliverSource(async () => ({
        ...(await reader.read(undefined, Number.POSITIVE_INFINITY)),
        wants,
        part: SILENT,
      }))
      onProgress(bytes / piece.bytes, subtask.current!.working.counts.recordsIn)
    }
  } finally {
    await reader.close()
  }
}

/** Records are put into order behind the source: until the end of the piece nothing is known of the time. */
const SILENT = { name: '', watermark: () => Number.NEGATIVE_INFINITY }

async function readPartition(
  { files, job }: Prepared,
  subtask: Subtask,
  task: Task,
  onProgress: OnTaskProgress,
  signal: AbortSignal | undefined,
): Promise<void> {
  let merges = 0
  const scratch = () => new RunFile(`${files.spill(task.stage, task.shard)}.merge-${merges++}`)
  const merged = await mergeRuns(task.inputs, scratch)
  let read = 0
  const counted = {
    next: () => {
      if (!merged.next()) return false
      if (++read % PROGRESS_RECORDS > 0) return true
      signal?.throwIfAborted()
      onProgress(read / merged.records, read)
      return true
    },
    load: () => merged.load(),
    get edge() {
      return merged.edge
    },
    get value() {
      return merged.value
    },
    get timestamp() {
      return merged.timestamp
    },
    get key() {
      return merged.key
    },
  }
  try {
    await subtask.deliverOrdered(counted, job.thenLive ? job.until! - 1 : Number.POSITIVE_INFINITY)
  } finally {
    await merged.close()
    for (let i = 0; i < merges; i++) rmSync(`${files.spill(task.stage, task.shard)}.merge-${i}`, { force: true })
  }
}
