/** Hashes and random numbers that are the same on every machine: all that is made up in this example derives from them. */

/** 32 bits of FNV-1a over the UTF-16 code units, mixed so that ids which differ in one digit have nothing in common. */
export function hash(text: string, seed = 0): number {
  let h = 0x811c9dc5 ^ seed
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Uniform numbers in [0, 1) (mulberry32). */
export function random(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** About normal, variance 1, from sums alone: `Math.log` and `Math.cos` may differ in the last bit between engines. */
export function gaussian(next: () => number): number {
  return (next() + next() + next() + next() - 2) * Math.sqrt(3)
}

/** Scaled to length 1, in place. */
export function normalise<V extends Float32Array | Float64Array>(vector: V): V {
  let sum = 0
  for (let i = 0; i < vector.length; i++) sum += vector[i]! * vector[i]!
  const scale = sum > 0 ? 1 / Math.sqrt(sum) : 0
  for (let i = 0; i < vector.length; i++) vector[i] = vector[i]! * scale
  return vector
}

/** The inner product, always summed in the same order. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** To so many decimals, so that a number has one short spelling in every file. Never `-0`. */
export function round(value: number, decimals: number): number {
  const scale = 10 ** decimals
  return Math.round(value * scale) / scale + 0
}

/** Orders strings by code unit, as `sort()` does; never by locale. */
export function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
