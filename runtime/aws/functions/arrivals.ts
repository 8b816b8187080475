import type { SourcePosition, SplitPart } from '../../connectors/source.ts'

/** One of the user's records, as it came. */
export interface Arrival {
  /** Of this record alone in its split, whenever it comes: its dead letter is kept under it. */
  readonly id: string
  /** JSON. */
  readonly data: Uint8Array
  /** Where it lies, for who reads its dead letter. */
  readonly place: Readonly<Record<string, string | number>>
}

/** What a delivery has for one subtask of a source, in order, and how that source's positions are kept. */
export interface Arrivals {
  readonly records: readonly Arrival[]
  /** Whether what was committed at `position` holds the record already: then it was delivered again. */
  holds(position: SourcePosition, record: Arrival): boolean
  /** The position when, from `position` on, everything up to `record` is taken. */
  after(position: SourcePosition | undefined, record: Arrival): SourcePosition
  /** Where a split may have come to have several shards: what there is to know of them, before records are taken from `position` on. */
  readFrom?(position: SourcePosition | undefined, watermark: number): Promise<Reading>
}

/** What a delivery has, as of one committed position. */
export interface Reading extends Pick<Arrivals, 'holds' | 'after'> {
  /** The same, with what was found out since. */
  readonly position: SourcePosition | undefined
  readonly part: SplitPart | undefined
}

/** The first record that `position` does not hold; if it holds them all, the last: what that one set off may not be through. */
export function firstLeft({ records, holds }: Arrivals, position: SourcePosition | undefined): Arrival {
  return records.find(r => position === undefined || !holds(position, r)) ?? records.at(-1)!
}
