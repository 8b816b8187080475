/** One entry of keyed state in a snapshot: where it lies behind the log, without the run, and its value as stored there. */
export interface SnapshotItem {
  /** Partition (operator and key) and entry as one string, in whose order segments are sorted: see `joinAddress`. */
  readonly address: string
  /** Undefined: deleted. */
  readonly value: Uint8Array | undefined
  /** Epoch ms, by the clock of its declaration's ttl. */
  readonly expiry?: number
}

const SEPARATOR = '\u0000\u0000'

/**
 * One string for both, ordered by `pk`, then by `sk` (by UTF-16 code units). Keys of the user's may hold any character: what would not survive is
 * escaped, a NUL as U+0000 `n`, half a surrogate pair as U+0000 `u` and its hexadecimal number.
 */
export function joinAddress(pk: string, sk: string): string {
  return `${guarded(pk)}${SEPARATOR}${guarded(sk)}`
}

export function splitAddress(address: string): { pk: string; sk: string } {
  const at = address.indexOf(SEPARATOR)
  return { pk: plain(address.slice(0, at)), sk: plain(address.slice(at + SEPARATOR.length)) }
}

function guarded(text: string): string {
  if (!text.includes('\u0000') && text.isWellFormed()) return text
  return text.replace(/[\0\p{Surrogate}]/gu, c => (c === '\u0000' ? '\u0000n' : `\u0000u${c.charCodeAt(0).toString(16)}`))
}

function plain(text: string): string {
  if (!text.includes('\u0000')) return text
  return text.replace(/\0(?:n|u([0-9a-f]{4}))/g, (_, code?: string) =>
    code === undefined ? '\u0000' : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
