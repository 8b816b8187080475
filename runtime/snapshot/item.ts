import { guarded, unguarded } from '../graph/guarded.ts'

/** One entry of keyed state in a snapshot: where it lies behind the log, without the run, and its value as stored there. */
export interface SnapshotItem {
  /** Partition (operator and key) and entry as one string, in whose order segments are sorted: see `joinAddress`. */
  readonly address: string
  /** Undefined: deleted. */
  readonly value: Uint8Array | undefined
  /** Epoch ms, by the clock of its declaration's ttl. */
  readonly expiry?: number | undefined
  /** Of a long key, of which the address has only a hash: its key group, by which state is divided among subtasks. */
  readonly group?: number | undefined
}

/** Between partition and entry. */
export const SEPARATOR = '\u0000\u0000'

/**
 * One string for both, ordered by `pk`, then by `sk` (by UTF-16 code units). Both are guarded, so that
 * the separator is in neither.
 */
export function joinAddress(pk: string, sk: string): string {
  return `${guarded(pk)}${SEPARATOR}${guarded(sk)}`
}

export function splitAddress(address: string): { pk: string; sk: string } {
  const at = address.indexOf(SEPARATOR)
  return { pk: unguarded(address.slice(0, at)), sk: unguarded(address.slice(at + SEPARATOR.length)) }
}
