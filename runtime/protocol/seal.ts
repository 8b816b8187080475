/**
 * No edge has this number: a record on it is the end of its producer's log (protocol.md, F2), the last entry of the last frame on its channel. Its value is a `Seal`.
 */
export const SEAL_EDGE = 0xffffffff

export interface Seal {
  /** The producers that take the place of the one that ends. */
  readonly children: readonly number[]
}
