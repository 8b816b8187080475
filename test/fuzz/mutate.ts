import type { Dice } from '../../runtime/sim/random.ts'

/** Values that parsers trip over: lengths of zero, one less and one more than a power of two, all bits. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff]
const WORDS = [0, 1, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff]

/** A few of the ways in which bytes get damaged, one to four at a time. `other`: of the same kind, of which a piece may get in. */
export function mutate(original: Uint8Array, dice: Dice, other: Uint8Array = original): Uint8Array {
  let bytes = Buffer.from(original)
  for (let n = 1 + dice.below(4); n > 0; n--) bytes = damage(bytes, dice, other)
  return bytes
}

function damage(bytes: Buffer, dice: Dice, other: Uint8Array): Buffer<ArrayBuffer> {
  const at = dice.below(bytes.length + 1)
  const to = Math.min(bytes.length, at + Math.ceil(dice.spread(1, 64)))
  switch (dice.below(10)) {
    case 0: // one bit
      return overwritten(bytes, at, Buffer.of((bytes[at] ?? 0) ^ (1 << dice.below(8))))
    case 1: // one byte
      return overwritten(bytes, at, Buffer.of(dice.chance(0.5) ? dice.pick(EDGES) : dice.below(256)))
    case 2: // a number of four bytes
      return overwritten(bytes, at, word(dice))
    case 3: // the end is missing
      return Buffer.from(bytes.subarray(0, at))
    case 4: // a piece is missing
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)])
    case 5: // a piece is there twice
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)])
    case 6: // the end is another one's
      return Buffer.concat([bytes.subarray(0, at), other.subarray(dice.below(other.length + 1))])
    case 7: // a piece is another one's
      return overwritten(bytes, at, Buffer.from(other.subarray(dice.below(other.length + 1)).subarray(0, to - at)))
    case 8: // a number is a bit more or less: a count, a length
      return overwritten(bytes, at, Buffer.of(((bytes[at] ?? 0) + dice.pick([-1, 1])) & 0xff))
    default: // something is in between
      return Buffer.concat([bytes.subarray(0, at), noise(dice, Math.ceil(dice.spread(1, 32))), bytes.subarray(at)])
  }
}

function overwritten(bytes: Buffer, at: number, by: Buffer): Buffer<ArrayBuffer> {
  const copy = Buffer.from(bytes)
  by.copy(copy, at)
  return copy
}

function word(dice: Dice): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(dice.chance(0.5) ? dice.pick(WORDS) : Math.floor(dice.spread(1, 2 ** 32)) >>> 0)
  return bytes
}

export function noise(dice: Dice, length: number): Buffer<ArrayBuffer> {
  return Buffer.from(Array.from({ length }, () => dice.below(256)))
}
