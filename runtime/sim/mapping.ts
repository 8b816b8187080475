import type { BatchResponse, KinesisEvent } from '../aws/functions/event.ts'
import { formatShard, parsePosition } from '../aws/position.ts'
import type { StreamRecord } from '../ports.ts'
import type { Lambda, Outcome } from './lambda.ts'
import type { Simulation } from './simulation.ts'
import type { Kinesis } from './streams.ts'

/** An event source mapping's reader of one shard. */
export interface Mapping {
  readonly stream: string
  readonly shard: number
  /** How many records are through. */
  readonly through: number
  /** All that the shard has is through, and that of those it came of. */
  readonly isThrough: boolean
  start(): void
}

const POLL_MS = [5, 1_000] as const
const BEHIND_MS = 1_000
const AGAIN_MS = [100, 5_000] as const
const TWICE_MS = [1, 20_000] as const
/** Behind a copy that is to be overtaken. */
const LATER_MS = [500, 8_000] as const
/** Times `stuckMs`, nobody comes back to what has failed: whoever waits for its commit has to help himself (protocol.md, B3). */
const ALONE = [1.2, 2] as const
const STUCK_VISITS = 5

export interface MappingOptions {
  readonly stream: string
  readonly shard: number
  readonly batchMax: number
  /** Of the shards that it came of: Lambda delivers nothing of it before they are through. */
  readonly behind?: readonly Mapping[]
  /** Longer than anybody waits for an undecided frame before he helps, however many aborts there were in a row. */
  readonly stuckMs: number
  /** It is switched off: what is under way goes on. */
  readonly isOff?: () => boolean
  /** Called when its functions have answered for long, and got no further than to this record. */
  readonly onStuck?: (first: StreamRecord) => void
}

/**
 * Batches of one shard in order, each until it is through: what comes after it waits. A batch may be delivered to two environments at the same time, or be delivered again after it was
 * through; where batches are cut is up to nobody.
 */
export function openMapping(
  { scheduler, dice, faults, trace }: Simulation,
  kinesis: Kinesis,
  lambda: Lambda,
  { stream, shard, batchMax, behind = [], stuckMs, isOff = () => false, onStuck }: MappingOptions,
): Mapping {
  const shardId = formatShard(shard)
  let through = 0
  /** Since when nothing more is through, and how often somebody has looked. */
  let stuckSince = 0
  let visits = 0

  async function invoke(records: readonly StreamRecord[]): Promise<Outcome> {
    const event = eventOf(records, shardId)
    // It reads what was committed, and goes on when others have committed, folded and deleted more.
    if (faults.happens('copy of a batch lags', stream, String(shard))) {
      void lambda.invoke(event, { lagsAt: 'batch' })
      await scheduler.sleep(dice.spread(...LATER_MS))
      return lambda.invoke(event)
    }
    if (!faults.happens('batch goes to two environments', stream, String(shard))) return lambda.invoke(event)
    const other = scheduler.sleep(dice.spread(...TWICE_MS)).then(() => lambda.invoke(event))
    const first = lambda.invoke(event)
    return dice.chance(0.5) ? first : Promise.race([first, other])
  }

  async function deliver(): Promise<void> {
    const all = kinesis.records(stream, shard)
    const most = faults.happens('batch is cut short', stream, String(shard)) ? 1 + dice.below(5) : batchMax
    const records = all.slice(through, through + most)
    trace?.(`${stream} ${shard}: ${records.length} records from ${through}`)
    const outcome = await invoke(records)
    if ('error' in outcome) {
      if (!faults.happens('shard is left alone', stream, String(shard))) return scheduler.sleep(dice.spread(...AGAIN_MS))
      // Nobody had a chance to get further meanwhile.
      visits = 0
      return scheduler.sleep(stuckMs * dice.spread(...ALONE))
    }
    const passed = passedOf(records, outcome.answer)
    through += passed
    watch(passed, records[0]!)
    if (passed < records.length) await scheduler.sleep(dice.spread(...AGAIN_MS))
    // The mapping forgets how far it was.
    if (faults.happens('batch comes again', stream, String(shard))) through = Math.max(0, through - 1 - dice.below(10))
  }

  /** Its functions answer, but get no further. */
  function watch(passed: number, first: StreamRecord): void {
    if (passed > 0) [stuckSince, visits] = [scheduler.now, 0]
    else if (++visits > STUCK_VISITS && scheduler.now - stuckSince > stuckMs) onStuck?.(first)
  }

  return {
    stream,
    shard,
    get through() {
      return through
    },
    get isThrough() {
      // Records that are on their way may be lost meanwhile.
      return behind.every(m => m.isThrough) && through >= kinesis.records(stream, shard).length
    },
    async start() {
      for (;;) {
        await kinesis.more(stream, shard, through)
        while (isOff() || !behind.every(m => m.isThrough)) {
          if (isOff()) visits = 0
          await scheduler.sleep(BEHIND_MS)
        }
        if (visits === 0) stuckSince = scheduler.now
        await scheduler.sleep(dice.spread(...POLL_MS))
        await deliver()
      }
    },
  }
}

/** The event that Lambda makes of records. */
function eventOf(records: readonly StreamRecord[], shardId: string): KinesisEvent {
  return {
    Records: records.map(({ seq, data, arrivedAt }) => {
      const sequenceNumber = parsePosition(seq)
      return {
        eventID: `${shardId}:${sequenceNumber}`,
        kinesis: {
          sequenceNumber,
          data: Buffer.from(data).toString('base64'),
          approximateArrivalTimestamp: arrivedAt / 1000,
        },
      }
    }),
  }
}

/** Records in front of the first that failed. */
function passedOf(records: readonly StreamRecord[], { batchItemFailures }: BatchResponse): number {
  const failed = batchItemFailures.map(({ itemIdentifier }) => records.findIndex(r => parsePosition(r.seq) === itemIdentifier))
  // One that is none of the batch fails all of it.
  return failed.length === 0 ? records.length : Math.max(0, Math.min(...failed))
}
