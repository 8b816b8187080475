import { type ByteReader, unzigzag } from './byte-reader.ts'
import { type ByteWriter, putVarint, VARINT_BYTES_MAX, zigzag } from './byte-writer.ts'
import { ENCODING } from './encodings.ts'
import { INT_LIMIT } from './limits.ts'
import { isCodedInt } from './value-writer.ts'

/** Enough rows to tell which integer encoding is smaller. */
const SAMPLE_ROWS = 512

/** Writes `count` finite numbers, none of them -0, in the smaller of the integer encodings or as doubles. */
export function writeNumbers(out: ByteWriter, values: Float64Array, count: number): void {
  let min = Infinity
  let max = -Infinity
  for (let i = 0; i < count; i++) {
    const value = values[i]!
    if ((value | 0) !== value && !isCodedInt(value)) {
      writeFloats(out, values, count)
      return
    }
    if (value < min) min = value
    if (value > max) max = value
  }
  if (max - min >= INT_LIMIT) {
    writeFloats(out, values, count)
    return
  }
  const delta = deltaIsSmaller(values, Math.min(count, SAMPLE_ROWS), min)
  out.byte(delta ? ENCODING.delta : ENCODING.int)
  out.varint(zigzag(min))
  out.varint(max - min)
  if (delta) writeDeltas(out, values, count, min)
  else writeOffsets(out, values, count, min)
}

function writeOffsets(out: ByteWriter, values: Float64Array, count: number, min: number): void {
  out.ensure(count * VARINT_BYTES_MAX)
  for (let i = 0; i < count; i++) out.at = putVarint(out.buffer, out.at, values[i]! - min)
}

function writeDeltas(out: ByteWriter, values: Float64Array, count: number, min: number): void {
  out.ensure(count * VARINT_BYTES_MAX)
  let previous = values[0]!
  out.varint(previous - min)
  for (let i = 1; i < count; i++) {
    const value = values[i]!
    out.at = putVarint(out.buffer, out.at, zigzag(value - previous))
    previous = value
  }
}

function writeFloats(out: ByteWriter, values: Float64Array, count: number): void {
  out.byte(ENCODING.float)
  out.bytes(new Uint8Array(values.buffer, values.byteOffset, count * 8))
}

function deltaIsSmaller(values: Float64Array, rows: number, min: number): boolean {
  let plain = 0
  let delta = 0
  for (let i = 1; i < rows; i++) {
    plain += varintBytes(values[i]! - min)
    delta += varintBytes(Math.abs(values[i]! - values[i - 1]!) * 2)
  }
  return delta < plain
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x200000) return 3
  return value < 0x10000000 ? 4 : 6
}

/** Numbers of a column. Int32Array where they fit, so that V8 sees small integers. */
export type Numbers = Int32Array | Float64Array

/** Reads what `writeNumbers` wrote, behind its encoding byte. */
export function readInts(from: ByteReader, count: number, delta: boolean): Numbers {
  const min = unzigzag(from.varint())
  const max = min + from.varint()
  from.need(count)
  const values = min >= -0x80000000 && max <= 0x7fffffff ? new Int32Array(count) : new Float64Array(count)
  if (delta) readDeltas(from, values, min)
  else for (let i = 0; i < count; i++) values[i] = min + from.varint()
  return values
}

function readDeltas(from: ByteReader, values: Numbers, min: number): void {
  let value = min + from.varint()
  values[0] = value
  for (let i = 1; i < values.length; i++) {
    value += unzigzag(from.varint())
    values[i] = value
  }
}

export function readFloats(from: ByteReader, count: number): Float64Array {
  return new Float64Array(from.bytes(count * 8).buffer)
}
