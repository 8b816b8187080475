import type { SourcePosition } from '../../connectors/source.ts'

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
}
