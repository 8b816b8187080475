/** Seeded randomness: one seed, one sequence. */
export interface Dice {
  /** In [0, 1). */
  fraction(): number
  /** From 0 to n - 1. */
  below(n: number): number
  chance(probability: number): boolean
  pick<T>(all: readonly T[]): T
  /** From `from` to `to`, evenly over orders of magnitude: mostly small, now and then large. `from` > 0. */
  spread(from: number, to: number): number
  /** A sequence of its own, which does not depend on how much is taken of this one later. */
  fork(name: string): Dice
}

export function dice(seed: number): Dice {
  let state = mix(seed ^ 0x9e3779b9)
  const fraction = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    fraction,
    below: n => Math.floor(fraction() * n),
    chance: probability => fraction() < probability,
    pick: all => all[Math.floor(fraction() * all.length)]!,
    spread: (from, to) => from * (to / from) ** fraction(),
    fork(name) {
      let hash = mix(seed)
      for (const char of name) hash = mix(hash ^ char.charCodeAt(0))
      return dice(hash)
    },
  }
}

function mix(n: number): number {
  let x = n | 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}
