/** Makes watermarks from the timestamps of one split. */
export interface WatermarkGenerator {
  /** The watermark after a record with this timestamp; a lower one than before counts as no change. */
  onRecord(timestamp: number, value: unknown): number
}

/** How a source tells how far event time has come. */
export interface WatermarkStrategy {
  readonly kind: string
  /** Processing time without a record after which the split no longer holds the others back (ms); undefined: never. */
  readonly idleAfter?: number
  /** A generator for one split. `source`: its name, for errors. */
  create(source?: string): WatermarkGenerator
}
