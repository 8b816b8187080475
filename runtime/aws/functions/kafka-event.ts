import type { SourcePosition } from '../../connectors/source.ts'
import { MillraceError } from '../../errors.ts'
import type { Arrival, Arrivals } from './arrivals.ts'

/** What Lambda hands over of Kafka, MSK's or any other: the part of it that is used here. */
export interface KafkaEvent {
  /** By `<topic>-<partition>`: one batch may have records of several. */
  readonly records: Readonly<Record<string, readonly KafkaRecord[]>>
}

export interface KafkaRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Base64; none in a tombstone, which deletes its key from a compacted topic. */
  readonly value?: string | null
}

/** What a delivery has of one partition. */
export interface PartitionDelivery extends Arrivals {
  /** As splits are called: `<topic>-<partition>`. */
  readonly split: string
}

/** Offsets have 63 bits; in names of dead letters they are in order. */
const OFFSET_DIGITS = 19

export function partitionName(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

/** Each partition's records, in order. Offsets that are left out are usual: of records that were compacted away, and of the marks of transactions. */
export function readKafkaEvent({ records }: KafkaEvent): PartitionDelivery[] {
  return Object.values(records).flatMap(batch => {
    const [first] = batch
    if (first === undefined) return []
    const split = partitionName(first.topic, first.partition)
    const stranger = batch.find(r => r.topic !== first.topic || r.partition !== first.partition)
    if (stranger !== undefined)
      throw new MillraceError(`one batch has records of ${split} and of ${partitionName(stranger.topic, stranger.partition)}`)
    return [{ split, records: batch.map(arrivalOf), holds, after }]
  })
}

/** A tombstone is the JSON value null: the source's schema says whether it takes that. */
function arrivalOf({ offset, value }: KafkaRecord): Arrival & { readonly place: { readonly offset: number } } {
  const data = Buffer.from(value ?? Buffer.from('null').toString('base64'), 'base64')
  return { id: String(offset).padStart(OFFSET_DIGITS, '0'), data, place: { offset } }
}

function holds({ offset }: SourcePosition, { place }: Arrival): boolean {
  return Number(place.offset) <= Number(offset)
}

function after(_: SourcePosition | undefined, { place }: Arrival): SourcePosition {
  return { offset: place.offset! }
}
