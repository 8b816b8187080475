import { type KinesisClient, PutRecordCommand } from '@aws-sdk/client-kinesis'
import type { Clock, Streams } from '../ports.ts'
import type { Call } from './call.ts'
import { ShardMismatchError, TooLargeError } from './errors.ts'
import { formatPosition, formatShard } from './position.ts'
import { type ShardReader, shardReader } from './shard-reader.ts'
import { listedShards } from './shards.ts'

/** What Kinesis takes by default, with the partition key. */
const RECORD_BYTES_MAX = 1 << 20
/** What Kinesis bills a put by. */
const PAYLOAD_UNIT_BYTES = 25 << 10

/** `nameOf`: the Kinesis stream of a stream (names.ts). */
export function kinesisStreams(client: KinesisClient, nameOf: (stream: string) => string, call: Call, clock: Clock): Streams {
  const shards = listedShards(client, call)
  const readers = new Map<string, ShardReader>()

  return {
    async put(stream, index, data) {
      const name = nameOf(stream)
      const resource = `stream ${name}`
      const PartitionKey = String(index)
      const bytes = data.byteLength + PartitionKey.length
      if (bytes > RECORD_BYTES_MAX) {
        throw new TooLargeError(
          resource,
          `a frame for ${formatShard(index)}`,
          bytes,
          RECORD_BYTES_MAX,
          'a single record makes a frame of its own, so make records smaller: leave fields out, or store large values elsewhere and send their name',
        )
      }
      const { id, hashKey, closed } = await shards.of(name, index)
      if (closed) throw mismatch(name, id, 'it is closed')
      const { ShardId, SequenceNumber } = await call({ operation: 'kinesis.PutRecord', resource }, async ({ signal, meter }) => {
        const command = new PutRecordCommand({ StreamName: name, Data: data, PartitionKey, ExplicitHashKey: hashKey })
        const done = await client.send(command, { abortSignal: signal })
        meter.bytes += data.byteLength
        meter.writeUnits += Math.max(1, Math.ceil(bytes / PAYLOAD_UNIT_BYTES))
        return done
      })
      if (ShardId !== id) throw mismatch(name, id, `the record went to ${ShardId}`)
      return formatPosition(SequenceNumber!)
    },

    async poll(stream, index, after, limit, bytesMax = Number.POSITIVE_INFINITY) {
      const name = nameOf(stream)
      const readerId = `${name}/${index}`
      let reader = readers.get(readerId)
      if (reader === undefined) {
        reader = shardReader(client, name, (await shards.of(name, index)).id, call, clock)
        readers.set(readerId, reader)
      }
      return reader.poll(after, limit, bytesMax)
    },

    /** Kinesis deletes by time alone. */
    async trim() {},
  }

  /** What is known of the stream is old: whoever tries again learns from its list of shards that this one is closed. */
  function mismatch(name: string, planned: string, problem: string): ShardMismatchError {
    shards.forget(name)
    return new ShardMismatchError(`stream ${name}`, planned, problem)
  }
}
