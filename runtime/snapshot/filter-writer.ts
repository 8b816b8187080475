import { FILTER_HASHES, hash, SEEDS } from './filter.ts'

/** With so many, a filter lets about one in a hundred through of the addresses that are not there. */
const BITS_PER_KEY = 10

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
