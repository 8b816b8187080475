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
import { heldSink } from './held-sink.ts'
import type { Prepared } from './job.ts'
import { writeJson } from './json-file.ts'
import { KEPT_STATE } from './kept-state.ts'
import { LAST_CUT } from './last-cut.ts'
import { lazyStore } from './lazy-store.ts'
import type { SpilledRuns } from './merge.ts'
import { RunFile, type SortedRun } from './run-file.ts'
import { localRuns, type RunReaders } from './run-reader.ts'
import { SpillOutput } from './spill-output.ts'
import { relieve, relieving } from './state-memory.ts'
import { type PartOfTask, readPartition, readPiece } from './task-input.ts'

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

/** Where a task works: files of this machine, and what it shares with others. */
export interface TaskPlace {
  /** A directory of its own. */
  readonly scratch: string
  /** The file for what it has for its consumers. */
  readonly spill: string
  /** The file for results of a sink that nothing can be staged in, by the sink's number. */
  held(sink: number): string
  /** What sinks stage, and state that a stream goes on with: they outlive the task. */
  readonly shared: Blobs
  /** Where its inputs are read. */
  readonly runs: RunReaders
}

/** Of a task that may stop before its end. Another one, with the same scratch directory, goes on from there. */
export interface Pausing {
  /** Asked now and then. `spilled`: bytes in the file for the consumers. */
  readonly isDue: (spilled: number) => boolean
  /** Where the part before stopped; undefined: there is none. */
  readonly from: Paused | undefined
}

/** Records of a piece that were taken, or the event time up to which those of a partition were. */
export type Paused = { readonly records: number } | { readonly after: number }

/** What a part of a task has left behind: counts are those of the parts before too, all else is its own. */
export interface PartResult extends TaskResult {
  /** Undefined: the task is through. */
  readonly paused: Paused | undefined
}

export interface PartOptions {
  readonly onProgress?: OnTaskProgress | undefined
  readonly signal?: AbortSignal | undefined
  readonly pausing?: Pausing | undefined
}

/** A record may bring so much of keys that were not in memory, and all that one commit needs has to be there together. */
const BYTES_PER_RECORD = 1024
const RECORDS_MAX = 250_000
const RECORDS_MIN = 100

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
  const place: TaskPlace = {
    scratch: files.scratch(stage, shard),
    spill: files.spill(stage, shard),
    held: sink => files.held(sink, shard),
    shared: directoryBlobs(files.blobs),
    runs: localRuns,
  }
  const { paused, ...result } = await runPart(prepared, task, place, { onProgress, signal })
  writeJson(files.done(stage, shard), result, { synced: false })
  return result
}

/** The same, up to where it is to pause. */
export async function runPart(
  prepared: Prepared,
  task: Task,
  place: TaskPlace,
  { onProgress = () => {}, signal, pausing }: PartOptions = {},
): Promise<PartResult> {
  const { stage, shard } = task
  const { thenLive } = prepared.job
  const { scratch } = place
  // What is logged is folded at the end then, and may be more than fits in memory; or somebody goes on from it.
  const isKept = thenLive || pausing !== undefined
  if (isKept && pausing?.from === undefined) makeEmpty(scratch)
  const own = await openEmbedded(isKept ? { directory: scratch } : {})
  const store = isKept ? { ...own.store, close: async () => {} } : lazyStore(scratch)
  const spill = new RunFile(place.spill)
  const outputs: SpillOutput[] = []
  const topology = prepared.topology({
    sinks: taskSinks(prepared, place),
    snapshots: thenLive,
    output: (...args) => {
      const output = new SpillOutput(spill, ...args)
      outputs.push(output)
      return output
    },
  })
  const ports = { ...own, store, blobs: sharedSinks(own.blobs, place.shared, topology) }
  const at = topology.stages[stage]!
  const limits = limitsOf(prepared.stateMemory)
  const subtask = new Subtask(topology, at, shard, ports, limits, relieving(topology, ports, prepared.stateMemory, thenLive))
  const part: PartOfTask = { prepared, task, place, subtask, spill, onProgress, signal, pausing }
  try {
    // What is kept is folded from the log.
    if (!isKept) for (const operator of (await subtask.ready()).chain.keyed) operator.leaveUnlogged()
    const paused = await (at.stage.source === undefined ? readPartition(part) : readPiece(part))
    if (paused === undefined) await subtask.cutSource(LAST_CUT, true)
    // What is in memory is in the scratch directory then.
    else await relieve(topology, subtask, ports, prepared.stateMemory, thenLive)
    const live = subtask.current!
    if (paused === undefined && thenLive && at.stage.source === undefined) {
      const { keepState } = await import('./keep-state.ts')
      await keepState(topology, stage, shard, ports)
    }
    const result: PartResult = {
      counts: { ...live.working.counts },
      outputs: Object.fromEntries(outputs.map(o => [o.stage, o.finish()])),
      sinks: [...live.sinkStates],
      written: Object.fromEntries(live.chain.sinks.map(s => [s.node.sink!.name, s.operator.total])),
      firstDeadLetter: subtask.firstDeadLetter,
      paused,
    }
    await subtask.close()
    return result
  } finally {
    await subtask.close().catch(() => {})
    spill.close()
    await store.close()
    await own.close()
    if (isKept && pausing === undefined) rmSync(scratch, { recursive: true, force: true })
  }
}

function makeEmpty(directory: string): void {
  rmSync(directory, { recursive: true, force: true }) // of a task that died
  mkdirSync(directory, { recursive: true })
}

function limitsOf(stateMemory: number): AttemptLimits {
  const recordsMax = Math.min(RECORDS_MAX, Math.max(RECORDS_MIN, Math.floor(stateMemory / BYTES_PER_RECORD)))
  const never = Number.POSITIVE_INFINITY
  return { recordsMax, timersMax: recordsMax, outputBytesMax: never, durationMsMax: never }
}

/** Sinks that can stage do so; what the others get waits until all is there. */
function taskSinks({ graph, sinks }: Prepared, place: TaskPlace): Record<string, ReturnType<typeof heldSink>> {
  return Object.fromEntries(
    sinkNodes(graph.nodes).map((node, i) => {
      const { name } = node.sink!
      const sink = sinks[name] ?? node.sink!.sink
      return [name, sink.commit === undefined ? heldSink(() => place.held(i), sink.describe()) : sink]
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
    list: (key, limit) => of(key).list(key, limit),
    delete: key => of(key).delete(key),
  }
}
