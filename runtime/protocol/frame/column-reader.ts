import type { ByteReader } from './byte-reader.ts'
import { ENCODING, EXCEPTIONS } from './encodings.ts'
import { readFloats, readInts } from './number-column.ts'
import { readStrings } from './string-column.ts'
import { readValue } from './value-reader.ts'

/** The values of a column by row. Typed arrays where all are numbers. */
export type Column = ArrayLike<any>

/**
 * Reads a column of `rows` values. `earlier` are the columns of the group so far.
 * @throws FrameError `corrupt`
 */
export function readColumn(
  from: ByteReader,
  rows: number,
  shapes: readonly (readonly string[])[],
  earlier: readonly Column[],
): Column {
  const encoding = from.byte()
  if (encoding === ENCODING.same) return earlier[from.varint()] ?? from.fail('a reference to a later column')
  if (encoding !== ENCODING.exceptions) return readDense(from, rows, encoding, shapes)
  from.need(rows)
  const exceptions = from.bytes(rows)
  let dense = 0
  for (let i = 0; i < rows; i++) {
    if (exceptions[i] === 0) dense++
    else if (exceptions[i]! >= EXCEPTIONS.length) from.fail('an unknown exception')
  }
  const inner = readDense(from, dense, from.byte(), shapes)
  const values: unknown[] = new Array(rows)
  for (let i = 0, at = 0; i < rows; i++) values[i] = exceptions[i] === 0 ? inner[at++] : EXCEPTIONS[exceptions[i]!]
  return values
}

function readDense(from: ByteReader, rows: number, encoding: number, shapes: readonly (readonly string[])[]): Column {
  switch (encoding) {
    case ENCODING.constant:
      return readConstant(from, rows)
    case ENCODING.int:
    case ENCODING.delta:
      return readInts(from, rows, encoding === ENCODING.delta)
    case ENCODING.float:
      return readFloats(from, rows)
    case ENCODING.utf8:
    case ENCODING.utf16:
    case ENCODING.dictionary:
      return readStrings(from, rows, encoding)
    case ENCODING.bool:
      return readBits(from, rows)
    case ENCODING.mixed: {
      from.need(rows)
      const values: unknown[] = []
      for (let i = 0; i < rows; i++) values.push(readValue(from, shapes))
      return values
    }
    default:
      return from.fail(`unknown encoding ${encoding}`)
  }
}

function readConstant(from: ByteReader, rows: number): Column {
  const value = readValue(from, [])
  // One object for all rows would let user code change a row through another.
  if (typeof value === 'object' && value !== null) from.fail('a constant that is an object')
  return new Array(rows).fill(value)
}

function readBits(from: ByteReader, rows: number): boolean[] {
  from.need(Math.ceil(rows / 8))
  const bits: boolean[] = new Array(rows)
  for (let i = 0; i < rows; i++) bits[i] = (from.buffer[from.at + (i >> 3)]! & (1 << (i & 7))) !== 0
  from.at += Math.ceil(rows / 8)
  return bits
}
