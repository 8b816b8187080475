import { GetRecordsCommand, type GetRecordsOutput, GetShardIteratorCommand, type KinesisClient } from '@aws-sdk/client-kinesis'
import type { Clock } from '../ports.ts'
import { DeadlineError } from '../protocol/errors.ts'
import { type Call, named } from './call.ts'
import { isNamed } from './classify.ts'
import { parsePosition } from './position.ts'
import { listShards } from './shards.ts'

/** A shard takes five reads a second, and whoever else reads it needs one of them. */
const PAGES_AT_ONCE = 4
const PAGE_MS = 250
const PAGES_MAX = 10_000
const LOOKS_MAX = 1_000

/** How far a look behind a position has come: between `after` and `iterator` is nothing. */
interface Look {
  readonly after: string
  /** Good for five minutes. */
  readonly iterator: string
}

/**
 * Whether a closed shard has nothing behind position `after` ('': from its oldest record on). True for one that its stream has forgotten. A shard's description says where it ends, but not
 * whether a record is there: only reading tells, and Kinesis answers with nothing from stretches of a shard that have nothing.
 * @throws DeadlineError when that is not known at `until`, epoch ms. The next question for the same position goes on where this one stopped, if it comes within five minutes
 */
export type IsReadToEnd = (stream: string, shard: string, after: string, until: number) => Promise<boolean>

/** `callUntil`: calls that send nothing any more after an epoch ms. */
export function shardEnds(client: KinesisClient, callUntil: (until: number) => Call, clock: Clock): IsReadToEnd {
  /** By shard; those that were looked at last come last. */
  const looks = new Map<string, Look>()

  function keep(key: string, look: Look): void {
    looks.delete(key)
    looks.set(key, look)
    if (looks.size > LOOKS_MAX) looks.delete(looks.keys().next().value!)
  }

  return async (stream, shard, after, until) => {
    const call = callUntil(until)
    const key = `${stream}/${shard}`
    const before = looks.get(key)
    let iterator = before?.after === after ? before.iterator : await iteratorAfter(client, call, stream, shard, after)
    for (let pages = 0; pages < PAGES_MAX && clock.now() < until; pages++) {
      if (iterator === FORGOTTEN) return true
      keep(key, { after, iterator })
      if (pages >= PAGES_AT_ONCE) await clock.sleep(PAGE_MS)
      const page = await readPage(client, call, stream, iterator)
      if (page === EXPIRED) {
        iterator = await iteratorAfter(client, call, stream, shard, after)
        continue
      }
      // An answer without either was cut off on its way, and says nothing of the end.
      if (page.Records === undefined || page.Records.length > 0) return false
      if (page.NextShardIterator === undefined) return true
      iterator = page.NextShardIterator
    }
    throw new DeadlineError(`there was no time to read ${shard} of stream ${stream} to its end: that goes on another time`)
  }
}

const FORGOTTEN = Symbol('forgotten')
const EXPIRED = Symbol('expired')

async function iteratorAfter(
  client: KinesisClient,
  call: Call,
  stream: string,
  shard: string,
  after: string,
): Promise<string | typeof FORGOTTEN> {
  const resource = `stream ${stream}`
  const from = after === '' ? undefined : parsePosition(after)
  const command = new GetShardIteratorCommand({
    StreamName: stream,
    ShardId: shard,
    ShardIteratorType: from === undefined ? 'TRIM_HORIZON' : 'AFTER_SEQUENCE_NUMBER',
    StartingSequenceNumber: from,
  })
  const expected = (error: unknown) => isNamed(error, 'InvalidArgumentException', 'ResourceNotFoundException')
  try {
    const options = { operation: 'kinesis.GetShardIterator', resource, expected }
    return (await call(options, ({ signal }) => client.send(command, { abortSignal: signal }))).ShardIterator!
  } catch (error) {
    // The retention has passed the position: what is left, if anything, is behind it.
    if (isNamed(error, 'InvalidArgumentException') && after !== '') return iteratorAfter(client, call, stream, shard, '')
    // The same is said of a stream that is not there: then listing its shards fails.
    if (!isNamed(error, 'ResourceNotFoundException')) throw error
    const listed = await listShards(client, call, stream)
    if (listed.some(({ id }) => id === shard)) throw named('missing', 'kinesis.GetShardIterator', resource, 1, error)
    return FORGOTTEN
  }
}

async function readPage(
  client: KinesisClient,
  call: Call,
  stream: string,
  ShardIterator: string,
): Promise<Partial<GetRecordsOutput> | typeof EXPIRED> {
  // After five minutes; or the shard has gone, which a new one tells.
  const isExpired = (error: unknown) =>
    isNamed(error, 'ExpiredIteratorException', 'InvalidArgumentException', 'ResourceNotFoundException')
  const options = { operation: 'kinesis.GetRecords', resource: `stream ${stream}`, expected: isExpired }
  const command = new GetRecordsCommand({ ShardIterator, Limit: 1 })
  try {
    return await call(options, ({ signal }) => client.send(command, { abortSignal: signal }))
  } catch (error) {
    if (isExpired(error)) return EXPIRED
    throw error
  }
}
