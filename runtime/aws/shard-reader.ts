import { type _Record, GetRecordsCommand, GetShardIteratorCommand, type KinesisClient } from '@aws-sdk/client-kinesis'
import type { Clock, StreamRecord } from '../ports.ts'
import type { Call } from './call.ts'
import { isNamed } from './classify.ts'
import { PositionExpiredError } from './errors.ts'
import { formatPosition, parsePosition } from './position.ts'

/** Of one GetRecords. */
const RECORDS_MAX = 10_000
/** Kinesis answers with nothing from stretches of a shard that have nothing, though more comes behind. */
const EMPTY_PAGES_MAX = 50
/** The shortest retention that Kinesis has, less an hour for clocks and for its own tidying. */
const KEPT_MS = 23 * 3_600_000
/** As far behind as the shortest retention: the iterator stands where data is deleted already. */
const RETENTION_MS_MIN = 24 * 3_600_000

/** Reads a shard forwards; knows where it stands, so that going on costs one request. */
interface Cursor {
  /** The last position that was handed out. */
  after: string | undefined
  /** Where the service goes on, behind `fetched`; undefined: ask for an iterator, or, with `ended`, nothing comes any more. */
  iterator: string | undefined
  ended: boolean
  /** Read, but not handed out yet. */
  fetched: StreamRecord[]
  /**
   * Nothing between `after` and what comes can be missing: the iterator began at the oldest record, or at the record `after` itself, which was there.
   */
  proven: boolean
  /** Epoch ms: what follows `after` was there then, whole. */
  wholeAt: number
  /** The last answer said that nothing came behind it. */
  atTip: boolean
}

export interface ShardReader {
  poll(after: string | undefined, limit: number, bytesMax: number): Promise<StreamRecord[]>
  /** Whether the last poll gave all that there was then. */
  readonly isThrough: boolean
}

export function shardReader(client: KinesisClient, stream: string, shard: string, call: Call, clock: Clock): ShardReader {
  const resource = `stream ${stream}`
  /** Where the last poll left off. Taken away while a poll uses it, so that two at a time don't share it. */
  let resting: Cursor | undefined

  /**
   * A position is read from *at*, not after: when its own record comes first, the retention has not passed it. Kinesis itself would go on behind a hole
   * without a word.
   */
  async function open(cursor: Cursor): Promise<void> {
    const { after } = cursor
    const whole = after !== undefined && clock.now() - cursor.wholeAt < KEPT_MS
    const at = after === undefined ? undefined : parsePosition(after)
    try {
      cursor.iterator = await iteratorAt(at)
      cursor.proven = at === undefined || whole
    } catch (error) {
      if (!isNamed(error, 'InvalidArgumentException')) throw error
      const said = (error as Error).message
      if (!whole) throw new PositionExpiredError(resource, shard, after!, said, { cause: error })
      cursor.iterator = await iteratorAt(undefined)
      cursor.proven = true
    }
  }

  async function iteratorAt(sequenceNumber: string | undefined): Promise<string> {
    const command = new GetShardIteratorCommand({
      StreamName: stream,
      ShardId: shard,
      ShardIteratorType: sequenceNumber === undefined ? 'TRIM_HORIZON' : 'AT_SEQUENCE_NUMBER',
      StartingSequenceNumber: sequenceNumber,
    })
    const expected = (error: unknown) => sequenceNumber !== undefined && isNamed(error, 'InvalidArgumentException')
    const options = { operation: 'kinesis.GetShardIterator', resource, expected }
    const answer = await call(options, ({ signal }) => client.send(command, { abortSignal: signal }))
    return answer.ShardIterator!
  }

  /** One request. True: there may be more to read. */
  async function fetch(cursor: Cursor, limit: number): Promise<boolean> {
    if (cursor.iterator === undefined) await open(cursor)
    // The record at the position itself comes too, to be dropped.
    const Limit = Math.min(RECORDS_MAX, limit + (cursor.after === undefined ? 0 : 1))
    const options = {
      operation: 'kinesis.GetRecords',
      resource,
      expected: (error: unknown) => isNamed(error, 'ExpiredIteratorException'),
    }
    let answer: { Records: _Record[] | undefined; NextShardIterator?: string; MillisBehindLatest?: number }
    try {
      answer = await call(options, async ({ signal, meter }) => {
        const got = await client.send(new GetRecordsCommand({ ShardIterator: cursor.iterator!, Limit }), { abortSignal: signal })
        for (const { Data } of got.Records ?? []) meter.bytes += Data!.byteLength
        return got
      })
    } catch (error) {
      if (!isNamed(error, 'ExpiredIteratorException')) throw error
      // Five minutes without a poll. What was proven of the old iterator has to be proven again.
      cursor.iterator = undefined
      return true
    }
    const { Records = [], NextShardIterator, MillisBehindLatest = 0 } = answer
    take(cursor, Records, MillisBehindLatest)
    cursor.iterator = NextShardIterator
    cursor.ended = NextShardIterator === undefined
    cursor.atTip = cursor.ended || MillisBehindLatest === 0
    if (MillisBehindLatest === 0 && cursor.proven) cursor.wholeAt = clock.now()
    return !cursor.atTip
  }

  function take(cursor: Cursor, records: readonly _Record[], behindMs: number): void {
    const { after } = cursor
    for (const { SequenceNumber, Data, ApproximateArrivalTimestamp } of records) {
      const seq = formatPosition(SequenceNumber!)
      if (after !== undefined && seq <= after) {
        if (seq === after) cursor.proven = true
        continue
      }
      if (!cursor.proven) throw new PositionExpiredError(resource, shard, after!, `the oldest record behind it is ${seq}`)
      cursor.fetched.push({ seq, data: Data!, arrivedAt: ApproximateArrivalTimestamp?.getTime() ?? clock.now() })
    }
    if (!cursor.proven && records.length === 0 && behindMs >= RETENTION_MS_MIN)
      throw new PositionExpiredError(resource, shard, after!, `it lies ${behindMs} ms behind`)
  }

  return {
    async poll(after, limit, bytesMax) {
      const cursor = resting !== undefined && resting.after === after ? resting : fresh(after, 0)
      resting = undefined
      try {
        for (let pages = 0; cursor.fetched.length === 0 && !cursor.ended && pages < EMPTY_PAGES_MAX; pages++) {
          if (!(await fetch(cursor, limit))) break
        }
      } catch (error) {
        resting = fresh(after, cursor.wholeAt)
        throw error
      }
      const records = handOut(cursor, limit, bytesMax)
      resting = cursor
      return records
    },
    get isThrough() {
      return resting?.atTip === true && resting.fetched.length === 0
    },
  }
}

function fresh(after: string | undefined, wholeAt: number): Cursor {
  return { after, iterator: undefined, ended: false, fetched: [], proven: false, wholeAt, atTip: false }
}

/** At least one record, if there is any, and then as many as fit. */
function handOut(cursor: Cursor, limit: number, bytesMax: number): StreamRecord[] {
  let count = 0
  for (let bytes = 0; count < Math.min(limit, cursor.fetched.length); count++) {
    bytes += cursor.fetched[count]!.data.byteLength
    if (count > 0 && bytes > bytesMax) break
  }
  const records = cursor.fetched.splice(0, count)
  const last = records.at(-1)
  if (last !== undefined) {
    cursor.after = last.seq
    cursor.wholeAt = Math.max(cursor.wholeAt, last.arrivedAt)
  }
  return records
}
