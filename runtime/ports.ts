/**
 * Everything outside the process, as small interfaces. `embedded` implements them on SQLite, `aws` on the SDK; nothing
 * above this file may know which one it talks to.
 */

/** One record of an internal stream, as it lies in its shard. */
export interface StreamRecord {
  /** Position in the shard: fixed width, so that string order is shard order. */
  readonly seq: string
  readonly data: Uint8Array
  /** Arrival at the stream, epoch ms. Not guaranteed to be monotone. */
  readonly arrivedAt: number
}

/** Internal streams between stages: Kinesis, or what stands in for it. */
export interface Streams {
  /** Appends one record; resolves when it is durable, with the position it got. A call that failed may still have landed. */
  put(stream: string, shard: number, data: Uint8Array): Promise<string>
  /** Records after `after` (from the oldest when undefined), in order, at most `limit` and about `maxBytes`; empty when there are none. */
  poll(stream: string, shard: number, after: string | undefined, limit: number, maxBytes?: number): Promise<StreamRecord[]>
  /** Retention: records at or before `upTo` may be deleted. Idempotent. */
  trim(stream: string, shard: number, upTo: string): Promise<void>
}

/** The log of a subtask: one chain of immutable slots 1, 2, 3 … (protocol.md, A1), with the chunks that its commits refer to. */
export interface CommitLog {
  /** Writes slot `version` if nothing is there. True: this call wrote it. The item is opaque here. */
  putIfAbsent(log: string, version: number, item: Uint8Array): Promise<boolean>
  /** Strongly consistent read of one slot. */
  get(log: string, version: number): Promise<Uint8Array | undefined>
  /**
   * One read for many slots; may be stale: an item that is returned is final, `undefined` has to be asked again with `get`.
   * A slot that the service left unprocessed is `'unknown'`, not absent (protocol.md, B4).
   */
  batchGet(slots: readonly { log: string; version: number }[]): Promise<(Uint8Array | undefined | 'unknown')[]>
  /** Strongly consistent: slots from `from` upwards in order of version, at most `limit`. Holes are simply missing from the answer. */
  range(log: string, from: number, limit: number): Promise<{ version: number; item: Uint8Array }[]>
  /** The floor of a log (protocol.md, C1): strongly consistent, 0 when never set. */
  floor(log: string): Promise<number>
  /** Raises the floor; never lowers it. */
  raiseFloor(log: string, floor: number): Promise<void>
  /** Deletes slots with from <= version < to. Refuses versions at or above the floor. */
  expire(log: string, from: number, to: number): Promise<void>
}

/** Where a base item lives. Items of one `pk` are ordered by `sk` (by its UTF-8 bytes) and can be read as a range. */
export interface Address {
  readonly pk: string
  readonly sk: string
}

/** One entry of keyed state as of a materialised checkpoint (protocol.md, E1). */
export interface BaseItem extends Address {
  /** The version of the commit that wrote this value. */
  readonly v: number
  /** Undefined: deleted at `v` (a tombstone). */
  readonly value: Uint8Array | undefined
  /** Epoch ms after which the value may go physically. */
  readonly expiry?: number
}

/** State behind the log: DynamoDB, or what stands in for it. Reads are strongly consistent (E2). */
export interface KeyedStore {
  batchGet(addresses: readonly Address[]): Promise<(BaseItem | undefined)[]>
  /** Items of `pk` with from <= sk < to, in order of sk, at most `limit`; tombstones included. */
  range(pk: string, from: string, to: string, limit: number): Promise<BaseItem[]>
  /** Writes each item only where the stored `v` is lower (E1). Idempotent. */
  upsert(items: readonly BaseItem[]): Promise<void>
  /** Physically deletes tombstones and expired values of `pk` whose v <= `v` (E4). */
  sweep(pk: string, v: number, now: number): Promise<void>
}

/** Objects: S3, or a directory of files. */
export interface Blobs {
  put(key: string, data: Uint8Array): Promise<void>
  /** Creates the object if the key is free. True: this call created it. */
  putIfAbsent(key: string, data: Uint8Array): Promise<boolean>
  get(key: string): Promise<Uint8Array | undefined>
  /** Keys that start with `prefix`, sorted by their UTF-8 bytes; the first `limit` of them. Default: all. */
  list(prefix: string, limit?: number): Promise<string[]>
  delete(key: string): Promise<void>
}

/** Objects that can be read in parts: what lies behind the ports. */
export interface RangedBlobs extends Blobs {
  /** The bytes of an object with from <= place < to, as many of them as there are; undefined: there is no such object. `from` is below `to`. */
  getRange(key: string, from: number, to: number): Promise<Uint8Array | undefined>
}

/** What became of a part of a table. */
export interface Cleared {
  readonly deleted: number
  /** Where to go on; undefined: all of it was looked at. */
  readonly next: string | undefined
}

/**
 * The tables of log and state as a whole, for those rows of which nobody knows the names any more: what a run has left whose place another has taken. No snapshot: what is written meanwhile may
 * be missed.
 */
export interface Clearing {
  /**
   * Looks at some `limit` slots, from where an earlier call has ended (undefined: from the beginning), and deletes those of logs that `isLeft` is true of. Floors stay, so that a log which was
   * fenced takes nothing for ever (protocol.md, C1).
   */
  log(isLeft: (log: string) => boolean, after: string | undefined, limit: number): Promise<Cleared>
  /** The same with items of state, by their `pk`; objects that hold their values go with them. */
  state(isLeft: (pk: string) => boolean, after: string | undefined, limit: number): Promise<Cleared>
}

export interface Clock {
  /** Epoch ms. */
  now(): number
  /** Resolves after `ms`, or earlier when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export interface Random {
  /** A fresh id, never seen before (attempts, runs). */
  id(): string
  /** In [0, 1): jitter. */
  fraction(): number
}

export interface Ports {
  readonly streams: Streams
  readonly log: CommitLog
  readonly store: KeyedStore
  readonly blobs: RangedBlobs
  readonly clock: Clock
  readonly random: Random
}
