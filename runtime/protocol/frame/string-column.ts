import { isAscii } from 'node:buffer'
import type { ByteReader } from './byte-reader.ts'
import type { ByteWriter } from './byte-writer.ts'
import { ENCODING } from './encodings.ts'
import { type Numbers, readInts, writeNumbers } from './number-column.ts'

/** A dictionary pays when values repeat at least this often on average. */
const REPEATS_MIN = 2
/** After so many rows a dictionary that has not begun to pay is given up. */
const TRIAL_ROWS = 64

/** Writes `count` strings; by dictionary when they repeat. Callers have dealt with a column of one distinct value. */
export function writeStrings(out: ByteWriter, values: readonly string[], count: number): void {
  const indexes = new Float64Array(count)
  const distinct = indexDistinct(values, count, indexes)
  if (distinct === undefined) {
    writePlain(out, values, count)
    return
  }
  out.byte(ENCODING.dictionary)
  out.varint(distinct.length)
  writePlain(out, distinct, distinct.length)
  writeNumbers(out, indexes, count)
}

function indexDistinct(values: readonly string[], count: number, indexes: Float64Array): string[] | undefined {
  const known = new Map<string, number>()
  for (let i = 0; i < count; i++) {
    const value = values[i]!
    let index = known.get(value)
    if (index === undefined) {
      index = known.size
      known.set(value, index)
      if (index * REPEATS_MIN > i + TRIAL_ROWS) return undefined
    }
    indexes[i] = index
  }
  return known.size * REPEATS_MIN <= count ? [...known.keys()] : undefined
}

/** The lengths as a column, then all the text as one piece: one call into the runtime for the whole column. */
function writePlain(out: ByteWriter, values: readonly string[], count: number): void {
  const all = values.length === count ? values : values.slice(0, count)
  const text = all.join('')
  // Lone surrogates at the end of one string and the start of the next can pair up in the joined text.
  const ascii = Buffer.byteLength(text) === text.length
  const utf8 = ascii || (text.isWellFormed() && all.every(isWhole))
  const lengths = new Float64Array(count)
  for (let i = 0; i < count; i++) lengths[i] = utf8 && !ascii ? Buffer.byteLength(all[i]!) : all[i]!.length
  out.byte(utf8 ? ENCODING.utf8 : ENCODING.utf16)
  writeNumbers(out, lengths, count)
  if (utf8) out.utf8(text)
  else out.utf16(text)
}

function isWhole(value: string): boolean {
  return value.isWellFormed()
}

/** Reads what `writeStrings` wrote, behind its encoding byte. */
export function readStrings(from: ByteReader, count: number, encoding: number): string[] {
  if (encoding === ENCODING.dictionary) return readDictionary(from, count)
  const lengths = readLengths(from, count)
  let total = 0
  for (let i = 0; i < count; i++) {
    if (lengths[i]! < 0) from.fail('a negative length')
    total += lengths[i]!
  }
  from.need(encoding === ENCODING.utf16 ? total * 2 : total)
  if (encoding === ENCODING.utf16) return Array.from(lengths, length => from.utf16(length))
  const start = from.at
  from.at += total
  return cut(from.buffer, start, total, lengths)
}

/**
 * Short strings are cut from the text of the whole column. Longer ones are decoded by themselves: V8 would make them slices
 * that keep the whole text alive for as long as one of them is held, in state for instance.
 */
function cut(buffer: Buffer, start: number, total: number, lengths: Numbers): string[] {
  const ascii = isAscii(buffer.subarray(start, start + total))
  const text = ascii ? buffer.toString('latin1', start, start + total) : ''
  const strings: string[] = new Array(lengths.length)
  let at = 0
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i]!
    const to = at + length
    if (!ascii) strings[i] = buffer.toString('utf8', start + at, start + to)
    else strings[i] = length < 13 ? text.substring(at, to) : buffer.toString('latin1', start + at, start + to)
    at = to
  }
  return strings
}

function readDictionary(from: ByteReader, count: number): string[] {
  const size = from.varint()
  if (size > count) from.fail('a dictionary larger than its column')
  const plain = from.byte()
  if (plain !== ENCODING.utf8 && plain !== ENCODING.utf16) from.fail('a dictionary that is not of strings')
  const distinct = readStrings(from, size, plain)
  const indexes = readLengths(from, count)
  const strings: string[] = new Array(count)
  for (let i = 0; i < count; i++) strings[i] = distinct[indexes[i]!] ?? from.fail('an index outside of the dictionary')
  return strings
}

function readLengths(from: ByteReader, count: number): Numbers {
  const encoding = from.byte()
  if (encoding !== ENCODING.int && encoding !== ENCODING.delta) from.fail('lengths or indexes that are not integers')
  return readInts(from, count, encoding === ENCODING.delta)
}
