import type { Sink } from '../connectors/sink.ts'
import type { SourceConnector } from '../connectors/source.ts'
import type { HeadFields } from '../protocol/item.ts'
import type { AttemptLimits } from '../stage/attempt.ts'
import { type DeadLetterNote, Subtask } from '../stage/subtask.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { estimateBytes, evict } from '../state/eviction.ts'
import { type Shared, sourceLoop, stageLoop } from './loops.ts'
import { alignmentOf, type SourceTimes } from './source-alignment.ts'
import { Written } from './written.ts'

/** What a run sees of a subtask, in whatever thread it is: as of its last commit. */
export interface SubtaskView {
  readonly version: number
  readonly fields: HeadFields
  /** About how many bytes its keyed state takes in memory. */
  readonly stateBytes: number
  /** Records written and committed in this process, by name of the sink. */
  readonly sinks: readonly (readonly [name: string, records: number])[]
  readonly firstDeadLetter: DeadLetterNote | undefined
}

/** One subtask at work, in this thread or in another. */
export interface Worker {
  readonly at: StageTopology
  readonly shard: number
  readonly log: string
  /** Undefined: it is not open, or has to be read from the log again. */
  readonly view: SubtaskView | undefined
  /** A source that is kept open: all there is has been read and committed. */
  readonly readToEnd: boolean
  /** Brings it to where its log is. */
  open(): Promise<void>
  /** Until the run has ended, or the shard has (true). Rejects with what stopped the subtask. */
  run(): Promise<boolean>
  close(): Promise<void>
  /** There may be something to do. */
  announce(): void
  /** Sources: the barrier to send next. */
  requestCut(checkpoint: number): void
  /** The base holds its state up to `version`. */
  materialised(version: number): void
  /** What is in the base leaves memory, as far as there is too much of it. */
  relieve(): Promise<void>
}

/** What all subtasks of a run have in common, in one thread. */
export interface WorkerSetting {
  readonly topology: Topology
  readonly connectors: ReadonlyMap<string, SourceConnector>
  readonly splits: ReadonlyMap<string, readonly string[]>
  readonly limits: AttemptLimits
  readonly shared: Shared
  readonly sourceTimes: SourceTimes
  /** Bytes of keyed state that one subtask may have in memory. */
  readonly stateBytesMax: () => number
}

/** Where what functions make comes from: they can't be sent to another thread. */
export interface RunBindings {
  readonly sources?: Readonly<Record<string, SourceConnector>>
  readonly sinks?: Readonly<Record<string, Sink<any>>>
}

/** A subtask in this thread. `onCommit` is called after each of its commits, and waited for; `onEnd` when `readToEnd` has become true. */
export function localWorker(
  at: StageTopology,
  shard: number,
  { topology, connectors, splits, limits, shared, sourceTimes, stateBytesMax }: WorkerSetting,
  onCommit: (notable: boolean) => void | Promise<void>,
  onEnd: () => void = () => {},
): Worker {
  const written = new Written()
  const subtask = new Subtask(topology, at, shard, shared.ports, limits, ({ current }, notable) => {
    written.commit(current!.chain.sinks)
    relieve()
    return onCommit(notable)
  })
  const source = at.stage.source?.source
  const loop =
    source === undefined
      ? stageLoop(subtask, topology.stream(at.stage.index), shared, () => topology.shard(at.stage.index, shard).children)
      : sourceLoop(
          subtask,
          lazyReader(connectors.get(source.name)!, splits.get(source.name)![shard]!),
          source.watermark.idleAfter,
          alignmentOf(sourceTimes, topology, at.stage.index, shard),
          shared,
          onEnd,
        )
  function relieve(): void {
    const live = subtask.current
    if (live !== undefined) evict(live.chain.keyed, live.marker, stateBytesMax())
  }
  return {
    at,
    shard,
    log: subtask.log,
    get view() {
      return viewOf(subtask, written)
    },
    get readToEnd() {
      return loop.readToEnd
    },
    async open() {
      await subtask.ready()
    },
    run: () => loop.run(),
    close: () => subtask.close(),
    announce: () => loop.signal.announce(),
    requestCut: checkpoint => loop.requestCut(checkpoint),
    materialised: version => subtask.materialised(version),
    async relieve() {
      relieve()
    },
  }
}

/** What costs something to tell is told when it is asked for. */
function viewOf(subtask: Subtask, written: Written): SubtaskView | undefined {
  const live = subtask.current
  if (live === undefined) return undefined
  return {
    version: live.head.version,
    fields: live.head.fields,
    firstDeadLetter: subtask.firstDeadLetter,
    get stateBytes() {
      return estimateBytes(live.chain.keyed)
    },
    get sinks() {
      return live.chain.sinks.map(({ node }) => [node.sink!.name, written.of(node.sink!.name)] as const)
    },
  }
}

/** Opens the split when it is first read: a run that is finished already needs no input. */
function lazyReader(connector: SourceConnector, split: string) {
  let reader: Awaited<ReturnType<SourceConnector['open']>> | undefined
  return {
    async read(position: Parameters<NonNullable<typeof reader>['read']>[0], limit: number) {
      reader ??= await connector.open(split)
      return reader.read(position, limit)
    },
    async close() {
      await reader?.close()
    },
  }
}
