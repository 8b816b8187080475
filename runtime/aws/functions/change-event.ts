import type { SourcePosition } from '../../connectors/source.ts'
import type { Arrival, Arrivals } from './arrivals.ts'
import { type AttributeValue, plainItem } from './attribute.ts'

/** What Lambda hands over of a DynamoDB stream, in a tumbling window: the part of it that is used here. */
export interface ChangeEvent {
  readonly Records: readonly ChangeRecord[]
  /** Only a window's events have it. */
  readonly shardId?: string
  readonly window: { readonly start: string; readonly end: string }
}

type Item = Readonly<Record<string, AttributeValue>>

export interface ChangeRecord {
  readonly eventName: 'INSERT' | 'MODIFY' | 'REMOVE'
  readonly dynamodb: {
    readonly Keys: Item
    readonly NewImage?: Item
    readonly OldImage?: Item
    readonly SequenceNumber: string
    /** Epoch seconds. */
    readonly ApproximateCreationDateTime?: number
  }
}

/** Shards live for some hours, and what is in them for 24: nothing of a shard comes again that has had nothing new for this long. */
const KEPT_MS = 48 * 3_600_000

interface Place extends Readonly<Record<string, string | number>> {
  readonly shard: string
  readonly sequenceNumber: string
}

/**
 * A batch of one shard. A subtask reads several, each at its own pace, so its position is a map: of each shard the last sequence number that is taken,
 * and when that change was made, `<sequence number>@<epoch ms>`.
 */
export function changeArrivals(shard: string, records: readonly ChangeRecord[]): Arrivals {
  const madeAt = new Map<Arrival, number>()
  const arrivals = records.map(record => {
    const { SequenceNumber: sequenceNumber, ApproximateCreationDateTime: seconds = 0 } = record.dynamodb
    const at = Math.round(seconds * 1000)
    const place: Place = { shard, sequenceNumber }
    const arrival = { id: `${shard}-${sequenceNumber}`, data: Buffer.from(JSON.stringify(changeOf(record, at))), place }
    madeAt.set(arrival, at)
    return arrival
  })
  return {
    records: arrivals,
    holds: (position, { place }) => {
      const taken = position[shard]
      return taken !== undefined && !isBehind(String(place.sequenceNumber), partsOf(taken).sequenceNumber)
    },
    after(position = {}, record) {
      const at = madeAt.get(record)!
      const others = Object.entries(position).filter(([id, taken]) => id !== shard && partsOf(taken).at >= at - KEPT_MS)
      return { ...Object.fromEntries(others), [shard]: `${record.place.sequenceNumber}@${at}` }
    },
  }
}

/** What the user's source gets, as JSON. */
function changeOf({ eventName, dynamodb: { Keys, NewImage, OldImage } }: ChangeRecord, at: number) {
  return {
    kind: eventName.toLowerCase(),
    keys: plainItem(Keys),
    new: NewImage === undefined ? null : plainItem(NewImage),
    old: OldImage === undefined ? null : plainItem(OldImage),
    at,
  }
}

function partsOf(taken: SourcePosition[string]): { readonly sequenceNumber: string; readonly at: number } {
  const [sequenceNumber, at] = String(taken).split('@')
  return { sequenceNumber: sequenceNumber!, at: Number(at) }
}

/** Numbers of up to 40 digits. */
function isBehind(sequenceNumber: string, taken: string): boolean {
  return BigInt(sequenceNumber) > BigInt(taken)
}
