import { PortArgumentError } from '../embedded/errors.ts'

/** Sequence numbers of Kinesis have 186 bits. */
const DIGITS = 56

/** A sequence number of Kinesis, of a record of a delivery too, as a position: string order is shard order. */
export function formatPosition(sequenceNumber: string): string {
  if (!/^\d+$/.test(sequenceNumber) || sequenceNumber.length > DIGITS)
    throw new PortArgumentError(`not a sequence number of at most ${DIGITS} digits: '${sequenceNumber}'`)
  return sequenceNumber.padStart(DIGITS, '0')
}

export function parsePosition(position: string): string {
  if (position.length !== DIGITS || !/^\d+$/.test(position))
    throw new PortArgumentError(`not a position of a Kinesis shard: '${position}'`)
  return position.replace(/^0+(?=\d)/, '')
}

const SHARD_DIGITS = 12

/** Shard `index` of a stream as it was made: Kinesis numbers shards in the order of their hash keys then, and never uses a number again. */
export function formatShard(index: number): string {
  return `shardId-${String(index).padStart(SHARD_DIGITS, '0')}`
}

/** The index of a shard that a delivery names (`eventID` is `<shard>:<sequence number>`). */
export function parseShard(shardId: string): number {
  const index = /^shardId-(\d{12,15})$/.exec(shardId)?.[1]
  if (index === undefined) throw new PortArgumentError(`not a shard id of Kinesis: '${shardId}'`)
  return Number(index)
}
