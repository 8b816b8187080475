import type { SourceBatch, SourcePosition, SplitReader } from '../connectors/source.ts'
import type { Clock, Ports } from '../ports.ts'
import { LostRaceError, ShardClosedError } from '../protocol/errors.ts'
import { help } from '../protocol/help.ts'
import type { Subtask, Undecided } from '../stage/subtask.ts'
import { StaleViewError } from '../state/base.ts'
import type { MeteredStreams } from './meter.ts'
import { breathe, Signal } from './signal.ts'
import type { Alignment } from './source-alignment.ts'

/** What the loops of one run share. */
export interface Shared {
  readonly ports: Ports
  readonly streams: MeteredStreams
  /** Source records of one batch; undefined: as many as take about BATCH_MS, so that a commit costs little and a barrier waits little. */
  readonly batchSize: number | undefined
  /** Processes that held the directory before are dead: what arrived before this moment and is undecided will never be decided (B3). */
  readonly startedAt: number
  /** True: sources read nothing any more. */
  stopping: () => boolean
  /** True: everything is over, loops end. */
  ended: () => boolean
  /** True while sources should wait: too much is under way, or state has to be materialised first. */
  congested: () => boolean
  /** True while splits of one source should keep pace in event time: state takes a good part of the memory given to it. */
  keepPace: () => boolean
  /** True: that a split has come to its end is told to nobody: more of it is to come, in another run. */
  readonly keepOpen: boolean
}

const BATCH = 1000
const BATCH_MAX = 16_000
const BATCH_MS = 250

/** Frames of one poll: as many as take about POLL_MS to process, so that it is known soon how fast they are. */
const POLL_FRAMES_MAX = 200
const POLL_FRAMES = 8
const POLL_MS = 250
const POLL_BYTES = 8 * 1024 * 1024
/** Behind a delivery that took all there was, as long as it took, and no longer than this: what comes meanwhile makes one commit instead of several. (Flink's buffers wait 100 ms.) */
const REST_MS_MAX = 50
const IDLE_WAIT_MS = 1000
/** An undecided frame of a living producer is decided within this, or helped (doubled with each abort in a row). */
const HELP_AFTER_MS = 30_000
const TRIM_EVERY = 32
/** A hundred times, if nobody says sooner what a shard was split into. */
const CLOSED_WAIT_MS = 20

/** What one subtask does until the run has ended. */
export interface Loop {
  readonly signal: Signal
  /** Sources: the barrier to send next. */
  requestCut(checkpoint: number): void
  /** A source that is kept open: all there is has been read and committed. */
  readonly readToEnd: boolean
  /** True: the shard has ended, and so has the log. */
  run(): Promise<boolean>
}

/** `onEnd` is called when `readToEnd` has become true. */
export function sourceLoop(
  subtask: Subtask,
  reader: SplitReader,
  idleAfter: number | undefined,
  alignment: Alignment,
  shared: Shared,
  onEnd: () => void,
): Loop {
  const signal = new Signal()
  const { clock } = shared.ports
  let cut = 0
  let lastRecordAt = clock.now()
  let size = shared.batchSize ?? BATCH
  let readToEnd = false
  const read = async () => {
    const { working } = await subtask.ready()
    const startedAt = shared.ports.clock.now()
    if (working.sourceDone || readToEnd || shared.stopping()) {
      alignment.left()
      return false
    }
    if (shared.congested() || (shared.keepPace() && alignment.isAhead(startedAt))) {
      lastRecordAt = startedAt // it waits for the others: it is not idle
      return false
    }
    let ends = false
    const take = async (position: SourcePosition | undefined) => {
      const batch = await reader.read(position, size)
      ends = shared.keepOpen && batch.done
      // Its positions may be computed when they are asked for.
      return ends ? (Object.create(batch, { done: { value: false } }) as SourceBatch) : batch
    }
    const delivered = await subtask.deliverSource(take)
    readToEnd = ends
    if (ends) onEnd()
    if (!delivered) {
      alignment.left()
      return false
    }
    lastRecordAt = shared.ports.clock.now()
    if (subtask.current !== undefined) alignment.advanced(subtask.current.head.fields.watermark, lastRecordAt)
    if (shared.batchSize === undefined) size = nextSize(size, lastRecordAt - startedAt)
    return true
  }
  const wait = async () => {
    const live = await subtask.ready()
    const idle =
      idleAfter !== undefined &&
      !live.working.sourceDone &&
      shared.ports.clock.now() - lastRecordAt >= idleAfter &&
      !live.idleSent
    if (idle || subtask.nextProcessingTimer <= shared.ports.clock.now()) await subtask.tick(idle)
    else await signal.wait(live.working.sourceDone ? IDLE_WAIT_MS : 20)
  }
  return {
    signal,
    get readToEnd() {
      return readToEnd || (subtask.current?.working.sourceDone ?? false)
    },
    requestCut(checkpoint) {
      cut = checkpoint
      signal.announce()
    },
    async run() {
      try {
        while (!shared.ended()) {
          if (cut > 0) {
            const n = cut
            cut = 0
            await retrying(() => subtask.cutSource(n), clock)
          }
          if (!(await retrying(read, clock))) await retrying(wait, clock)
          await breathe()
        }
        return false
      } finally {
        await reader.close()
        await subtask.close()
      }
    },
  }
}

function nextSize(size: number, tookMs: number): number {
  return tookMs > BATCH_MS ? Math.max(BATCH, size >> 1) : tookMs < BATCH_MS / 2 ? Math.min(BATCH_MAX, size * 2) : size
}

/** `children`: the shards that have taken over from this one; undefined: it is open. */
export function stageLoop(
  subtask: Subtask,
  stream: string,
  shared: Shared,
  children: () => readonly number[] | undefined = () => undefined,
): Loop {
  const signal = new Signal()
  const helping = helper(shared)
  let deliveries = 0
  let frames = POLL_FRAMES
  // A delivery may fail when some of it is committed, or go back behind what was skipped: each record counts once, whenever it was passed.
  let open: { readonly seq: string; readonly bytes: number }[] = []
  let counted = ''
  const passed = (seq: string) => {
    let bytes = 0
    for (const record of open) if (record.seq <= seq) bytes += record.bytes
    open = open.filter(record => record.seq > seq)
    if (seq > counted) counted = seq
    if (bytes > 0) shared.streams.consumed(stream, bytes)
  }
  const step = async () => {
    const live = await subtask.ready()
    const after = live.working.position.seq
    passed(after)
    const records = await shared.streams.poll(stream, subtask.shard, after === '' ? undefined : after, frames, POLL_BYTES)
    if (records.length === 0) {
      const others = children()
      const atEnd = (position: string) => shared.streams.ended(stream, subtask.shard, position)
      if (others !== undefined && (await subtask.seal(others, atEnd))) return true
      const due = subtask.nextProcessingTimer - shared.ports.clock.now()
      if (due <= 0) await subtask.tick(false)
      else await signal.wait(Math.min(due, IDLE_WAIT_MS))
      return false
    }
    open = records.filter(r => r.seq > counted).map(r => ({ seq: r.seq, bytes: r.data.length }))
    const startedAt = shared.ports.clock.now()
    const { covered, undecided } = await subtask.deliver(records)
    const tookMs = shared.ports.clock.now() - startedAt
    const all = records.length < frames && records.reduce((sum, { data }) => sum + data.length, 0) < POLL_BYTES / 2
    frames = tookMs > POLL_MS ? Math.max(1, frames >> 1) : Math.min(POLL_FRAMES_MAX, frames * 2)
    passed(covered)
    if (++deliveries % TRIM_EVERY === 0 && subtask.current !== undefined) {
      const committed = subtask.current.head.fields.position.seq
      if (committed !== '') await shared.streams.trim(stream, subtask.shard, committed)
    }
    if (undecided !== undefined) {
      await helping.wait(undecided, signal)
      return false
    }
    helping.reset()
    if (all && tookMs > 0) await shared.ports.clock.sleep(Math.min(tookMs, REST_MS_MAX))
    return false
  }
  return {
    signal,
    requestCut() {},
    readToEnd: true,
    async run() {
      try {
        while (!shared.ended()) {
          if (await retrying(step, shared.ports.clock)) return true
          await breathe()
        }
        return false
      } finally {
        // One that has ended is asked for its counts, and then closed.
        if (subtask.current?.head.sealed !== true) await subtask.close()
      }
    },
  }
}

/** Waits for a frame to be decided, and decides it for a producer that is dead. */
function helper(shared: Shared) {
  let abortsInARow = 0
  return {
    reset() {
      abortsInARow = 0
    },
    async wait(undecided: Undecided, signal: Signal) {
      const dead = undecided.arrivedAt < shared.startedAt
      const bound = HELP_AFTER_MS * 2 ** abortsInARow
      if (dead || shared.ports.clock.now() - undecided.arrivedAt > bound) {
        abortsInARow += await help(shared.ports.log, shared.ports.random, undecided.log, undecided.version)
      } else await signal.wait(50)
    },
  }
}

/** Races are lost by design, now and then, and views get stale: the log is read again and the batch repeated. Other errors end the run. */
async function retrying<T>(work: () => Promise<T>, clock: Clock): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (
        !(error instanceof LostRaceError || error instanceof StaleViewError || error instanceof ShardClosedError) ||
        tries === 100
      )
        throw error
      // Between the end of a shard and the news of those that take over there is nothing to repeat for, and each try is a cold start.
      if (error instanceof ShardClosedError) await clock.sleep(CLOSED_WAIT_MS)
    }
  }
}
