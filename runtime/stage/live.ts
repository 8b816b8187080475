import { sinkStagingOf } from '../checkpoint/blob-names.ts'
import { type LogBase, openLogBase } from '../checkpoint/log-base.ts'
import { inWindows } from '../connectors/at-once.ts'
import type { SinkState } from '../connectors/sink.ts'
import { within } from '../connectors/within.ts'
import type { Ports } from '../ports.ts'
import { FrameWriter } from '../protocol/frame.ts'
import type { CommitItem, Counts, FrameId, HeadFields, SealItem } from '../protocol/item.ts'
import { type Head, loadHead, type ReadCommit } from '../protocol/log.ts'
import type { StateSpace } from '../state/address.ts'
import { BaseLoader, loadTimers, StaleViewError } from '../state/base.ts'
import { applyChanges } from '../state/changelog.ts'
import { Chain, type ChainContext } from './chain.ts'
import type { StageOutput } from './output.ts'
import type { StageTopology, Topology } from './topology.ts'
import { Working } from './working.ts'

/** Everything a warm environment holds of one subtask: the head, and the operators with their state as of it. */
export interface Live {
  head: Head
  working: Working
  readonly chain: Chain
  readonly outputs: readonly StageOutput[]
  /** What lies behind the log. */
  readonly base: LogBase
  /** State up to here lies in the base. */
  marker: number
  /** When the view of the log was last known to be whole (C7), epoch ms. */
  checkedAt: number
  readonly chunkWriter: FrameWriter
  /** Last state of each sink, by its index. */
  readonly sinkStates: Map<number, SinkState>
  /** The last commit that this environment made. */
  lastCommit: CommitFigures | undefined
  /** Consumers have been told that this subtask is idle. */
  idleSent: boolean
  /** Of the topology that the outputs are made for. */
  epoch: number
}

/** What a commit took, for those who watch. */
export interface CommitFigures {
  /** From the end of user code until it was decided. */
  readonly durationMs: number
  /** Of state changes, written with it. */
  readonly stateBytes: number
  /** As of the commit before. */
  readonly before: Counts
}

const LOAD_TRIES = 10

/** When a processing timer is due, epoch ms. After the end of the input never again: those that were set have fired there (`endProcessingTimers`). */
export function nextProcessingTimer({ working, chain }: Live): number {
  return working.watermark === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : chain.nextProcessingTimer
}

/** A cold start: the head from the log, state changes behind the materialised marker replayed, the rest left to be loaded on demand. */
export async function loadLive(
  topology: Topology,
  at: StageTopology,
  shard: number,
  ports: Ports,
  context: ChainContext,
): Promise<Live> {
  for (let tries = 1; ; tries++) {
    try {
      return await load(topology, at, shard, ports, context)
    } catch (error) {
      if (!(error instanceof StaleViewError) || tries === LOAD_TRIES) throw error
    }
  }
}

async function load(topology: Topology, at: StageTopology, shard: number, ports: Ports, context: ChainContext): Promise<Live> {
  const { stage } = at
  const name = topology.log(stage.index, shard)
  let live: Live | undefined
  const base = openLogBase(topology.stateBackend, ports, {
    run: topology.run,
    log: name,
    view: () => live?.head.version ?? Number.POSITIVE_INFINITY,
  })
  const marker = await base.marker()
  const { head, commits } = await loadHead(ports.log, name, marker)
  // A checkpoint may have come in between: what it materialised and expired is in neither of the two that were read.
  const floor = await ports.log.floor(name)
  if (floor > marker)
    throw new StaleViewError(`${name} has expired up to ${floor}, but was materialised up to ${marker} when that was read`)
  const outputs = topology.consumersOf(stage.index).map(consumer => {
    const edges = stage.outputs.filter(e => e.toStage === consumer)
    const { sent, sentClosed = [] } = head.fields
    const shards = topology.outputShards(stage.index, shard, consumer)
    return topology.outputTo(consumer, edges, shards, framesTo(consumer, sent), framesTo(consumer, sentClosed))
  })
  const chain = new Chain(stage, outputs)
  live = {
    head,
    working: new Working(head.fields, head.fields.producers ?? topology.producersOf(stage.index, shard)),
    chain,
    outputs,
    base,
    marker,
    checkedAt: ports.clock.now(),
    chunkWriter: new FrameWriter(),
    sinkStates: new Map(head.fields.sinks),
    lastCommit: undefined,
    idleSent: false,
    epoch: topology.epoch,
  }
  // What was its state is that of those that took over, and further than this view is.
  if (!head.sealed) await restoreState(live, topology, at, shard, ports, commits)
  try {
    for (const sink of chain.sinks) {
      const identity = {
        run: topology.run,
        pipeline: topology.pipeline,
        operatorId: sink.operatorId,
        subtask: shard,
        parallelism: topology.parallelism(stage.index),
        staging: within(ports.blobs, sinkStagingOf(topology.run, sink.operatorId)),
      }
      sink.operator.writer = await topology.sinkOf(sink.node).open(identity, live.sinkStates.get(sink.index))
    }
    await chain.open(context)
  } catch (error) {
    await chain.close().catch(() => {})
    throw error
  }
  if (head.version > 0) chain.restoreWatermarks(head.fields.watermark, head.fields.operatorWatermarks, head.fields.firing)
  return live
}

/** By shard. */
function framesTo(consumer: number, sent: HeadFields['sent']): Map<number, FrameId> {
  return new Map(sent.filter(([to]) => to === consumer).map(([, shard, ...id]) => [shard, id]))
}

async function restoreState(
  live: Live,
  topology: Topology,
  at: StageTopology,
  shard: number,
  ports: Ports,
  commits: readonly ReadCommit[],
): Promise<void> {
  if (live.marker > 0) {
    useBase(live, topology, shard)
    for (const { state } of live.chain.keyed) state.loader = state.base
    for (let i = 0; i < live.chain.keyed.length; i++) {
      const operator = live.chain.keyed[i]!
      const space = spaceOf(live, topology, shard, i)
      const { from, to } = topology.shard(at.stage.index, shard)
      for (let group = from; group < to; group++) {
        const timers = { event: operator.eventTimers, processing: operator.processingTimers }
        await loadTimers(live.base, space, group, live.head.version, timers)
      }
    }
  }
  const log = topology.log(at.stage.index, shard)
  const apply = (chunk: Uint8Array, version: number) => applyChanges(live.chain.keyed, chunk, version)
  const inObjects = commits.filter(({ item }) => item.chunk !== undefined && 'blob' in item.chunk).length
  const view = { marker: live.marker, head: live.head.version }
  // Few cold starts are that far behind.
  const keeping = inObjects > CHUNKS_READ_MAX ? await import('../checkpoint/kept-changes.ts') : undefined
  const kept = await keeping?.replayKept(ports, topology.run, log, view, apply)
  const chunks = readChunks(
    ports,
    commits.filter(({ version }) => version > (kept ?? 0)),
    async (error, version) => {
      // Retention takes chunks away that the base has by now: then this view is stale.
      if (version >= (await ports.log.floor(log))) throw error
      throw new StaleViewError(`version ${version} of subtask ${shard} of ${at.stage.id} has expired while it was read`)
    },
  )
  for await (const { version, chunk } of chunks) apply(chunk, version)
}

/** More objects than this are not read one by one if a checkpoint keeps what is in them in fewer. */
const CHUNKS_READ_MAX = 64
/** A read from S3 takes some 100 ms, and there is one for each commit: side by side, but no more than memory has room for. */
const READS_AT_ONCE = 16

/** The state changes of commits, in their order; of those that have some. `onFailure` throws what it makes of an error. */
export async function* readChunks(
  ports: Ports,
  commits: readonly ReadCommit[],
  onFailure: (error: unknown, version: number) => Promise<never> = async error => {
    throw error
  },
): AsyncGenerator<{ readonly version: number; readonly chunk: Uint8Array }> {
  const changed = commits.filter(({ item }) => item.chunk !== undefined)
  yield* inWindows(READS_AT_ONCE, changed, async ({ version, item }) => {
    const chunk = await readChunk(ports, item).catch(error => onFailure(error, version))
    return { version, chunk: chunk! }
  })
}

async function readChunk(ports: Ports, item: CommitItem | SealItem): Promise<Uint8Array | undefined> {
  if (item.chunk === undefined) return undefined
  if ('inline' in item.chunk) return item.chunk.inline
  const bytes = await ports.blobs.get(item.chunk.blob)
  if (bytes === undefined) throw new Error(`chunk ${item.chunk.blob} is gone, though its commit is there`)
  return bytes
}

/** Shards of consumers were split or merged since the outputs were made. */
export function followShards(live: Live, topology: Topology, at: StageTopology, shard: number): void {
  if (live.epoch === topology.epoch) return
  live.epoch = topology.epoch
  for (const output of live.outputs) output.reshape(topology.outputShards(at.stage.index, shard, output.stage))
}

/** There is a base now; where memory is complete, it is not asked until something has left memory. */
export function useBase(live: Live, topology: Topology, shard: number): void {
  live.base.atLeast(live.marker)
  live.chain.keyed.forEach((operator, i) => {
    operator.state.base ??= new BaseLoader(live.base, spaceOf(live, topology, shard, i), () => live.head.version)
  })
}

function spaceOf(live: Live, topology: Topology, shard: number, keyedIndex: number): StateSpace {
  return { run: topology.run, operatorId: live.chain.keyedIds[keyedIndex]!, subtask: shard }
}
