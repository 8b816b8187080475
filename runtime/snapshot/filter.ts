/** A Bloom filter over the addresses of a segment: of those that are not there it lets about one in a hundred through. */
const BITS_PER_KEY = 10
export const FILTER_HASHES = 7

/** Gathers keys, and gives the filter when all are known. */
export class FilterWriter {
  private hashes = new Uint32Array(256)
  private length = 0

  add(key: Uint8Array, end = key.length): void {
    if (this.length + 2 > this.hashes.length) {
      const larger = new Uint32Array(this.hashes.length * 2)
      larger.set(this.hashes)
      this.hashes = larger
    }
    this.hashes[this.length++] = hash(key, end, SEEDS[0])
    this.hashes[this.length++] = hash(key, end, SEEDS[1])
  }

  /** The filter so far; the writer is empty again. */
  finish(): Uint8Array {
    const bits = new Uint8Array(Math.max(1, Math.ceil(((this.length / 2) * BITS_PER_KEY) / 8)))
    for (let i = 0; i < this.length; i += 2) {
      let at = this.hashes[i]!
      for (let n = 0; n < FILTER_HASHES; n++) {
        const bit = at % (bits.length * 8)
        bits[bit >>> 3]! |= 1 << (bit & 7)
        at = (at + this.hashes[i + 1]!) >>> 0
      }
    }
    this.length = 0
    return bits
  }
}

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

const SEEDS = [0x811c9dc5, 0x9747b28c] as const

/** FNV-1a, then the last step of MurmurHash3, without which keys that differ in their last byte only would stay close. The second is odd, so that its multiples differ. */
function hash(key: Uint8Array, end: number, seed: number): number {
  let h: number = seed
  for (let i = 0; i < end; i++) h = Math.imul(h ^ key[i]!, 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  h ^= h >>> 16
  return (seed === SEEDS[1] ? h | 1 : h) >>> 0
}
