/** Bits that an address sets in a filter of the kind of Bloom. */
export const FILTER_HASHES = 7

/** What is asked of many filters about one key. */
export type KeyHash = readonly [number, number]

export function keyHash(key: Uint8Array): KeyHash {
  return [hash(key, key.length, SEEDS[0]), hash(key, key.length, SEEDS[1])]
}

/** False: the key is not there. True: it may be. */
export function mayHave(filter: Uint8Array, [start, step]: KeyHash): boolean {
  let at = start
  for (let n = 0; n < FILTER_HASHES; n++) {
    const bit = at % (filter.length * 8)
    if ((filter[bit >>> 3]! & (1 << (bit & 7))) === 0) return false
    at = (at + step) >>> 0
  }
  return true
}

export const SEEDS = [0x811c9dc5, 0x9747b28c] as const

/** FNV-1a, then the last step of MurmurHash3, without which keys that differ in their last byte only would stay close. The second is odd, so that its multiples differ. */
export function hash(key: Uint8Array, end: number, seed: number): number {
  let h: number = seed
  for (let i = 0; i < end; i++) h = Math.imul(h ^ key[i]!, 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  h ^= h >>> 16
  return (seed === SEEDS[1] ? h | 1 : h) >>> 0
}
