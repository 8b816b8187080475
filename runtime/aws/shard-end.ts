import { GetRecordsCommand, GetShardIteratorCommand, type KinesisClient } from '@aws-sdk/client-kinesis'
import { type Call, named } from './call.ts'
import { isNamed } from './classify.ts'
import { parsePosition } from './position.ts'
import { listShards } from './shards.ts'

/** Kinesis answers with nothing from stretches of a shard that have nothing: what is not found out by then is asked again another time. */
const PAGES_MAX = 50

/**
 * Whether a closed shard has nothing behind position `after` ('': from its oldest record on). True for one that its stream has forgotten. False also for one that is open: something may
 * still come to it. A shard's description says where it ends, but not whether a record is there: only reading tells.
 */
export async function isReadToEnd(
  client: KinesisClient,
  call: Call,
  stream: string,
  shard: string,
  after: string,
): Promise<boolean> {
  const resource = `stream ${stream}`

  /** Undefined: there is no such shard. */
  async function iteratorAfter(position: string): Promise<string | undefined> {
    const from = position === '' ? undefined : parsePosition(position)
    const command = new GetShardIteratorCommand({
      StreamName: stream,
      ShardId: shard,
      ShardIteratorType: from === undefined ? 'TRIM_HORIZON' : 'AFTER_SEQUENCE_NUMBER',
      StartingSequenceNumber: from,
    })
    const expected = (error: unknown) => isNamed(error, 'InvalidArgumentException', 'ResourceNotFoundException')
    try {
      const options = { operation: 'kinesis.GetShardIterator', resource, expected }
      return (await call(options, ({ signal }) => client.send(command, { abortSignal: signal }))).ShardIterator
    } catch (error) {
      // The retention has passed the position: what is left, if anything, is behind it.
      if (isNamed(error, 'InvalidArgumentException') && position !== '') return iteratorAfter('')
      // The same is said of a stream that is not there: then listing its shards fails.
      if (!isNamed(error, 'ResourceNotFoundException')) throw error
      const listed = await listShards(client, call, stream)
      if (listed.some(({ id }) => id === shard)) throw named('missing', 'kinesis.GetShardIterator', resource, 1, error)
      return undefined
    }
  }

  let iterator = await iteratorAfter(after)
  for (let pages = 0; pages < PAGES_MAX && iterator !== undefined; pages++) {
    const command = new GetRecordsCommand({ ShardIterator: iterator, Limit: 1 })
    const options = { operation: 'kinesis.GetRecords', resource }
    const answer = await call(options, ({ signal }) => client.send(command, { abortSignal: signal }))
    if ((answer.Records ?? []).length > 0) return false
    iterator = answer.NextShardIterator
  }
  return iterator === undefined
}
