/** The lines of most files are objects with the same few keys. So many kinds of them are known at a time. */
const SHAPES_MAX = 4
const KEYS_MAX = 64
/** Lines that a shape is looked for in before there is one. */
const LOOKS_MAX = 64
/** Of so many lines at least three quarters have to be of a known shape, or it is given up. */
const TRIAL = 1024
/** V8 copies a part of a string that is shorter, and else makes a slice, which keeps the whole of it alive. */
const SLICE_CHARS = 13
/** Each costs a call into the runtime, of which JSON.parse needs none. */
const LONG_STRINGS_MAX = 1
/** So many digits are a whole number that a double holds exactly, and so is the power of ten that it is divided by: the quotient is the nearest double. */
const DIGITS_MAX = 15
const POWERS = Array.from({ length: DIGITS_MAX + 1 }, (_, i) => 10 ** i)

const QUOTE = 0x22
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const END = 0x7d

/** Bytes that stand for themselves in a string of JSON. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x80 && byte !== QUOTE && byte !== 0x5c ? 1 : 0,
)
/** A key that stays where it is in an object, and is written in one way. */
const KEY = /^[a-zA-Z_]\w*$/

interface Shape {
  /** What stands in front of each value: `{"a":`, `,"b":` … */
  readonly leads: readonly Uint8Array[]
  readonly build: (values: readonly unknown[]) => object
}

/**
 * Parses lines of JSON. Those that hold the keys of an earlier one, in its order, with plain values and nothing between them, are read from their bytes; all others by JSON.parse. It
 * gives what JSON.parse gives, and throws what it throws. (That one looks up each short string among all that the heap has: ids that never come again make that slow.)
 */
export class JsonShapes {
  private shapes: Shape[] = []
  private looks = 0
  private tries = 0
  private misses = 0
  private readonly values: unknown[] = []
  private long = 0

  /** `text` is ASCII and lies in `bytes` at `start`, with the end of a line, or that of `bytes`, behind it. */
  parse(text: string, bytes: Buffer, start: number): unknown {
    const { shapes } = this
    if (shapes.length === 0 && this.looks >= LOOKS_MAX) return JSON.parse(text)
    // What is read byte by byte ends at the end of the line.
    if (start + text.length >= bytes.length) return JSON.parse(text)
    for (let i = 0; i < shapes.length; i++) {
      const shape = shapes[i]!
      if (this.scan(shape.leads, text, bytes, start)) {
        this.count(0)
        return shape.build(this.values)
      }
    }
    const value: unknown = JSON.parse(text)
    if (shapes.length > 0) this.count(1)
    if (this.looks++ < LOOKS_MAX && shapes.length < SHAPES_MAX) this.learn(value, text, bytes, start)
    return value
  }

  private count(missed: number): void {
    this.misses += missed
    if (++this.tries < TRIAL) return
    if (this.misses * 4 > TRIAL) {
      this.shapes = []
      this.looks = LOOKS_MAX
    }
    this.tries = 0
    this.misses = 0
  }

  private learn(value: unknown, text: string, bytes: Buffer, start: number): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return
    const keys = Object.keys(value)
    if (keys.length === 0 || keys.length > KEYS_MAX || !keys.every(key => KEY.test(key) && key !== '__proto__')) return
    const build = compile(keys)
    const leads = keys.map((key, i) => Buffer.from(`${i === 0 ? '{' : ','}"${key}":`))
    if (build !== undefined && this.scan(leads, text, bytes, start) && this.long <= LONG_STRINGS_MAX)
      this.shapes.push({ leads, build })
  }

  /** True: the line is of that shape, and `values` are its values. */
  private scan(leads: readonly Uint8Array[], text: string, bytes: Buffer, start: number): boolean {
    const { values } = this
    const end = start + text.length
    let at = start
    this.long = 0
    for (let i = 0; i < leads.length; i++) {
      const lead = leads[i]!
      if (at + lead.length > end) return false
      for (let k = 0; k < lead.length; k++) if (bytes[at + k] !== lead[k]) return false
      at += lead.length
      const first = bytes[at]!
      if (first === QUOTE) {
        const from = ++at
        while (PLAIN[bytes[at]!] === 1) at++
        if (bytes[at] !== QUOTE) return false
        if (at - from < SLICE_CHARS) values[i] = text.substring(from - start, at - start)
        else {
          values[i] = bytes.toString('latin1', from, at)
          this.long++
        }
        at++
      } else {
        if (first === MINUS) at++
        const from = at
        let number = 0
        let digit = bytes[at]! - ZERO
        while (digit >= 0 && digit <= 9) {
          number = number * 10 + digit
          digit = bytes[++at]! - ZERO
        }
        const whole = at - from
        if (whole === 0 || whole > DIGITS_MAX || (whole > 1 && bytes[from] === ZERO)) return false
        if (bytes[at] === POINT) {
          const point = at
          digit = bytes[++at]! - ZERO
          while (digit >= 0 && digit <= 9) {
            number = number * 10 + digit
            digit = bytes[++at]! - ZERO
          }
          const places = at - point - 1
          if (places === 0 || whole + places > DIGITS_MAX) return false
          number /= POWERS[places]!
        }
        values[i] = first === MINUS ? -number : number
      }
    }
    return bytes[at] === END && at + 1 === end
  }
}

/** An object literal gives all of them one hidden class at once, as in frame/rows.ts. */
function compile(keys: readonly string[]): Shape['build'] | undefined {
  try {
    return new Function('v', `return {${keys.map((key, i) => `${key}: v[${i}]`).join(', ')}}`) as Shape['build']
  } catch {
    return undefined // code generation is forbidden here (--disallow-code-generation-from-strings)
  }
}
