/** Where a source stands: plain JSON, opaque to the engine. */
export type SourcePosition = { readonly [field: string]: string | number }

/** One of several shards that a split has come to consist of. Each has a watermark of its own, and the split's goes by all of them. */
export interface SplitPart {
  readonly name: string
  /** The watermark of the split when this part's has come to `own`. */
  watermark(own: number): number
}

/** Raw records of one split, in order, as a connector hands them over. */
export interface SourceBatch {
  /** One for each line or message; a string is taken as UTF-8 text. */
  readonly records: readonly (string | Uint8Array)[]
  /** What JSON.parse gives for record `index`, or throws, where the reader has a faster way. Until it reads on. */
  json?: ((index: number) => unknown) | undefined
  /** Position just behind record `index` of this batch (0 <= index < records.length). */
  after(index: number): SourcePosition
  /** Where to go on when the whole batch is taken (also when it has no records). */
  readonly next: SourcePosition
  /** Nothing will ever follow. */
  readonly done: boolean
  /** Why record `index` goes to the dead letters unread: user code has failed on it before, each time. Undefined: it is read. */
  rejected?(index: number): string | undefined
  /** False: a record of this event time (epoch ms) is passed over, without a trace but its count. Absent: all are wanted. */
  wants?(timestamp: number): boolean
  /** Where record `index` lies, for people. Default: the position behind it. */
  place?(index: number): SourcePosition
  /** Which part of the split all of the records are of; undefined: it has none. */
  readonly part?: SplitPart | undefined
  /** The split's watermark when the records are taken, where something else than they moves it, and `next` is to be committed even without a record. */
  readonly watermark?: number
}

/** Reads one split. */
export interface SplitReader {
  /** The records behind `position` (from the start when undefined), at most `limit`; an empty batch when there is nothing now. */
  read(position: SourcePosition | undefined, limit: number): Promise<SourceBatch>
  /** Nothing is read any more. */
  close(): Promise<void>
}

/** A source outside: files, a Kinesis stream, Kafka … Each split is one subtask of the source stage. */
export interface SourceConnector {
  /** For plans and errors: `file` … */
  readonly kind: string
  /** What it reads, if that is files: no sink may write to them. */
  readonly files?: readonly string[]
  /** Names of the splits, stable over restarts. */
  splits(): Promise<readonly string[]>
  /** A reader of one split; a subtask has one at a time. */
  open(split: string): Promise<SplitReader>
  /** What has come to a split, or changed in it, since it ended at `position`, in words ("it has 20 bytes more"); undefined: nothing, as far as can be seen. */
  changed?(split: string, position: SourcePosition): Promise<string | undefined>
  /** For the plan. */
  describe(): string
}
