import type { StateSchema } from './schema.ts'

/**
 * What an operator declares about its keyed state. At runtime there are two primitives: `value` (one entry a key) and `map`
 * (entries of their own, so that a key with 100,000 of them is neither loaded nor rewritten whole). List, reducing and aggregating
 * state are made of these.
 */
export interface StateDeclaration {
  readonly name: string
  readonly primitive: 'value' | 'map'
  /** Time to live; undefined: for ever. */
  readonly ttl?: Ttl
  /**
   * Map only. `all`: the entries of a key are loaded together with it (few entries: panes, windows). `entry`: each is loaded
   * when first asked for (many entries).
   */
  readonly load?: 'all' | 'entry'
  /** Versions of its values. Absent: they are of version 1. */
  readonly schema?: StateSchema
  /** Map only: its entries are panes of these windows, by number. Of other windows they would be other times. */
  readonly panes?: Panes
  /**
   * Map only, whose subkeys are times: an entry has expired when the watermark is further than this (ms) beyond its own. Its operator looks for no entry that has, and sees to memory itself (TimeBuffer);
   * the log says when each expires, and no more of it. Not with a `ttl`.
   */
  readonly keptMs?: number
}

/** Windows of a fixed size, whose time is cut into panes: pane n begins at `offset + n * gcd(size, slide)`. All in ms. */
export interface Panes {
  readonly size: number
  readonly slide: number
  readonly offset: number
  readonly time: 'event' | 'processing'
}

export interface Ttl {
  /** Milliseconds. */
  readonly ms: number
  /** Which clock an entry ages by. Event time (the operator's watermark and the record's timestamp) is the default: replays see the same. */
  readonly time: 'event' | 'processing'
  /** `write` (default): only writing renews it. `read`: reading does too. */
  readonly refresh: 'write' | 'read'
}
