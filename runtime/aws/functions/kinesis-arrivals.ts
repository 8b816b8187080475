import type { SourcePosition } from '../../connectors/source.ts'
import type { StreamRecord } from '../../ports.ts'
import { parsePosition } from '../position.ts'
import type { Arrivals } from './arrivals.ts'

/** Records of a shard of the user's own stream. The position is the sequence number, in 56 digits. */
export function kinesisArrivals(records: readonly StreamRecord[]): Arrivals {
  return {
    records: records.map(({ seq, data }) => ({ id: seq, data, place: { sequenceNumber: parsePosition(seq) } })),
    holds: (position, { id }) => id <= kinesisPosition(position),
    after: (_, { id }) => ({ sequenceNumber: id }),
  }
}

/** What a commit says of a shard; '' before the first. */
export function kinesisPosition(position: SourcePosition | undefined): string {
  return String(position?.sequenceNumber ?? '')
}
