import { ByteWriter } from './byte-writer.ts'
import { ENCODING, EXCEPTION, EXCEPTIONS } from './encodings.ts'
import { writeNumbers } from './number-column.ts'
import type { ShapeTable } from './shapes.ts'
import { writeStrings } from './string-column.ts'
import { writeValue } from './value-writer.ts'

const EMPTY = 0
const NUMBER = 1
const STRING = 2
const BOOLEAN = 3
const MIXED = 4
const ROWS_INITIAL = 16

/**
 * Collects one column. Numbers, strings and booleans are kept as they are; anything else makes the column `mixed`, and is
 * serialised at once: what user code does to an object after it was emitted must not change what is sent.
 */
export class ColumnWriter {
  rows = 0
  private mode = EMPTY
  private numbers = new Float64Array(0)
  private texts: string[] = []
  private mixed: ByteWriter | undefined
  /** Values in `numbers` or `texts`; rows minus exceptions. */
  private dense = 0
  /** A byte per row once a null or undefined came. */
  private exceptions: Uint8Array<ArrayBuffer> | undefined
  private mixedBefore = 0

  /** Appends a value; returns about how many bytes it takes. @throws Unserialisable, and the column is as before */
  add(value: unknown, shapes: ShapeTable): number {
    const mode = this.mode
    if (typeof value === 'number' && (mode === NUMBER || mode === EMPTY)) return this.addNumber(value, NUMBER, 4)
    if (typeof value === 'string' && (mode === STRING || mode === EMPTY)) return this.addText(value)
    if (typeof value === 'boolean' && (mode === BOOLEAN || mode === EMPTY)) return this.addNumber(value ? 1 : 0, BOOLEAN, 1)
    if ((value === null || value === undefined) && mode !== MIXED) return this.addException(value)
    return this.addMixed(value, shapes)
  }

  private addNumber(value: number, mode: number, bytes: number): number {
    this.mode = mode
    if (this.dense === this.numbers.length) this.numbers = grow(this.numbers, new Float64Array(larger(this.dense)))
    this.numbers[this.dense++] = value
    if (this.exceptions !== undefined) this.mark(EXCEPTION.none)
    this.rows++
    return bytes
  }

  private addText(value: string): number {
    this.mode = STRING
    this.texts[this.dense++] = value
    if (this.exceptions !== undefined) this.mark(EXCEPTION.none)
    this.rows++
    return value.length + 1
  }

  private addException(value: null | undefined): number {
    this.exceptions ??= new Uint8Array(larger(this.rows))
    this.mark(value === null ? EXCEPTION.null : EXCEPTION.undefined)
    this.rows++
    return 1
  }

  private mark(exception: number): void {
    if (this.rows >= this.exceptions!.length) this.exceptions = grow(this.exceptions!, new Uint8Array(larger(this.rows)))
    this.exceptions![this.rows] = exception
  }

  private addMixed(value: unknown, shapes: ShapeTable): number {
    if (this.mode !== MIXED) this.becomeMixed(shapes)
    const out = this.mixed!
    const before = out.at
    try {
      writeValue(out, value, shapes)
    } catch (error) {
      out.at = before
      throw error
    }
    this.mixedBefore = before
    this.rows++
    return out.at - before
  }

  private becomeMixed(shapes: ShapeTable): void {
    this.mixed ??= new ByteWriter()
    let dense = 0
    for (let row = 0; row < this.rows; row++) {
      const exception = this.exceptions?.[row] ?? EXCEPTION.none
      if (exception !== EXCEPTION.none) writeValue(this.mixed, exception === EXCEPTION.null ? null : undefined, shapes)
      else writeValue(this.mixed, this.denseValue(dense++), shapes)
    }
    this.mode = MIXED
  }

  private denseValue(index: number): unknown {
    if (this.mode === STRING) return this.texts[index]
    return this.mode === BOOLEAN ? this.numbers[index] === 1 : this.numbers[index]
  }

  /** Takes the last value back, when a later field of the same record was refused. */
  undo(): void {
    this.rows--
    if (this.mode === MIXED) this.mixed!.at = this.mixedBefore
    else if ((this.exceptions?.[this.rows] ?? EXCEPTION.none) === EXCEPTION.none) this.dense--
  }

  /** Appends the column to a body. */
  write(out: ByteWriter, shapes: ShapeTable): void {
    if (this.mode === NUMBER) this.extractSpecials()
    const { exceptions, rows, dense } = this
    if (this.mode === MIXED) {
      out.byte(ENCODING.mixed)
      out.bytes(this.mixed!.buffer.subarray(0, this.mixed!.at))
    } else if (exceptions === undefined || dense === rows) this.writeDense(out, shapes)
    else if (dense === 0 && isUniform(exceptions, rows)) writeConstant(out, EXCEPTIONS[exceptions[0]!], shapes)
    else {
      out.byte(ENCODING.exceptions)
      out.bytes(exceptions.subarray(0, rows))
      if (dense === 0) writeConstant(out, undefined, shapes)
      else this.writeDense(out, shapes)
    }
  }

  private writeDense(out: ByteWriter, shapes: ShapeTable): void {
    const { mode, numbers, texts, dense } = this
    if (isUniform(mode === STRING ? texts : numbers, dense)) writeConstant(out, this.denseValue(0), shapes)
    else if (mode === STRING) writeStrings(out, texts, dense)
    else if (mode === BOOLEAN) writeBits(out, numbers, dense)
    else writeNumbers(out, numbers, dense)
  }

  /** NaN, the infinities and -0 become exceptions, so that one of them does not turn a column of integers into doubles. */
  private extractSpecials(): void {
    const { numbers, rows } = this
    let at = 0
    while (at < this.dense && special(numbers[at]!) === EXCEPTION.none) at++
    if (at === this.dense) return
    const exceptions = new Uint8Array(rows)
    let kept = 0
    for (let row = 0, next = 0; row < rows; row++) {
      const absent = this.exceptions?.[row] ?? EXCEPTION.none
      const value = absent === EXCEPTION.none ? numbers[next++]! : 0
      const exception = absent === EXCEPTION.none ? special(value) : absent
      exceptions[row] = exception
      if (exception === EXCEPTION.none) numbers[kept++] = value
    }
    this.exceptions = exceptions
    this.dense = kept
  }

  /** Empties the column for the next frame; buffers stay. */
  reset(): void {
    this.rows = 0
    this.dense = 0
    this.mode = EMPTY
    this.texts.length = 0
    this.exceptions = undefined
    if (this.mixed !== undefined) this.mixed.at = 0
  }
}

function larger(length: number): number {
  return Math.max(ROWS_INITIAL, length * 2)
}

function grow<T extends Float64Array | Uint8Array>(from: T, to: T): T {
  to.set(from)
  return to
}

function special(value: number): number {
  if (value - value === 0) return value === 0 && 1 / value < 0 ? EXCEPTION.negativeZero : EXCEPTION.none
  if (value === Infinity) return EXCEPTION.infinity
  return value === -Infinity ? EXCEPTION.negativeInfinity : EXCEPTION.nan
}

function isUniform(values: ArrayLike<unknown>, count: number): boolean {
  const first = values[0]
  for (let i = 1; i < count; i++) if (values[i] !== first) return false
  return true
}

function writeConstant(out: ByteWriter, value: unknown, shapes: ShapeTable): void {
  out.byte(ENCODING.constant)
  writeValue(out, value, shapes)
}

function writeBits(out: ByteWriter, values: Float64Array, count: number): void {
  out.byte(ENCODING.bool)
  const bytes = new Uint8Array(Math.ceil(count / 8))
  for (let i = 0; i < count; i++) if (values[i] === 1) bytes[i >> 3]! |= 1 << (i & 7)
  out.bytes(bytes)
}
