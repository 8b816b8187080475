import type { Dice } from '../../runtime/sim/random.ts'

const TEXTS = ['', 'a', 'user', '__proto__', 'constructor', 'toString', 'zażółć', '🐟', '\u0000', '\ud800', '|', 'x'.repeat(300)]
const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.5,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 53,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  Number.NaN,
  Number.POSITIVE_INFINITY,
]

export function text(dice: Dice): string {
  if (dice.chance(0.5)) return dice.pick(TEXTS)
  return String.fromCharCode(...Array.from({ length: dice.below(12) }, () => dice.below(dice.pick([128, 0x800, 0x10000]))))
}

export function number(dice: Dice): number {
  if (dice.chance(0.4)) return dice.pick(NUMBERS)
  return dice.chance(0.5) ? Math.floor(dice.spread(1, 2 ** 40)) : dice.fraction() * 1000
}

/** What a record or a state may hold. `depth`: how deep it may be. */
export function value(dice: Dice, depth = 3): unknown {
  const kind = dice.below(depth > 0 ? 14 : 9)
  if (kind < 2) return text(dice)
  if (kind < 4) return number(dice)
  switch (kind) {
    case 4:
      return dice.chance(0.5)
    case 5:
      return dice.pick([null, undefined])
    case 6:
      return BigInt(Math.floor(dice.spread(1, 2 ** 50))) * dice.pick([1n, -1n, 2n ** 80n])
    case 7:
      return new Date(Math.floor(dice.spread(1, 8e15)))
    case 8:
      return new Uint8Array(Array.from({ length: dice.below(20) }, () => dice.below(256)))
    case 9:
      return new Map(several(dice, () => [text(dice), value(dice, depth - 1)] as const))
    case 10:
      return new Set(several(dice, () => text(dice)))
    case 11:
      return several(dice, () => value(dice, depth - 1))
    default:
      return record(dice, depth - 1)
  }
}

/** An object with some fields. */
export function record(dice: Dice, depth = 2): Record<string, unknown> {
  return Object.fromEntries(several(dice, () => [text(dice), value(dice, depth)]))
}

export function several<T>(dice: Dice, make: () => T): T[] {
  return Array.from({ length: dice.below(5) }, make)
}
