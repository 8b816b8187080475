import { type ByteWriter, zigzag } from './byte-writer.ts'
import { DEPTH_MAX, INT_LIMIT } from './limits.ts'
import type { ShapeTable } from './shapes.ts'
import { SHORT_UTF8_MAX, TAG, TYPED_ARRAYS } from './tags.ts'

/** Thrown inside the codec; the frame writer turns it into a FrameError that names the path. */
export class Unserialisable extends Error {}

/** True for a number that the integer encodings carry exactly: not -0, not NaN, magnitude below 2^52. */
export function isCodedInt(value: number): boolean {
  return value < INT_LIMIT && value > -INT_LIMIT && Math.floor(value) === value && !(value === 0 && 1 / value < 0)
}

/** Appends any supported value with its tag. `shapes` numbers the key lists of plain objects. @throws Unserialisable */
export function writeValue(out: ByteWriter, value: unknown, shapes: ShapeTable, depth = 0): void {
  switch (typeof value) {
    case 'string':
      writeString(out, value)
      break
    case 'number':
      writeNumber(out, value)
      break
    case 'boolean':
      out.byte(value ? TAG.true : TAG.false)
      break
    case 'undefined':
      out.byte(TAG.undefined)
      break
    case 'bigint':
      writeBigint(out, value)
      break
    case 'object':
      if (value === null) out.byte(TAG.null)
      else writeObject(out, value, shapes, depth)
      break
    default:
      throw new Unserialisable(`a ${typeof value}`)
  }
}

function writeNumber(out: ByteWriter, value: number): void {
  if (!isCodedInt(value)) {
    out.byte(TAG.float)
    out.float64(value)
  } else if (value >= 0 && value <= 127) out.byte(TAG.smallInt + value)
  else {
    out.byte(TAG.int)
    out.varint(zigzag(value))
  }
}

/** Strings that UTF-8 would mangle (lone surrogates) go as UTF-16, exactly. */
export function writeString(out: ByteWriter, value: string): void {
  if (value.length <= SHORT_UTF8_MAX && writeShortAscii(out, value)) return
  if (!value.isWellFormed()) {
    out.byte(TAG.utf16)
    out.varint(value.length)
    out.utf16(value)
    return
  }
  const bytes = Buffer.byteLength(value)
  if (bytes <= SHORT_UTF8_MAX) out.byte(TAG.shortUtf8 + bytes)
  else {
    out.byte(TAG.utf8)
    out.varint(bytes)
  }
  out.utf8(value)
}

/** A loop beats the call into the runtime for short ASCII. False, with nothing written, when it is not ASCII. */
function writeShortAscii(out: ByteWriter, value: string): boolean {
  const length = value.length
  out.ensure(length + 1)
  const buffer = out.buffer
  const at = out.at
  for (let i = 0; i < length; i++) {
    const unit = value.charCodeAt(i)
    if (unit > 127) return false
    buffer[at + 1 + i] = unit
  }
  buffer[at] = TAG.shortUtf8 + length
  out.at = at + 1 + length
  return true
}

function writeBigint(out: ByteWriter, value: bigint): void {
  const magnitude = value < 0n ? -value : value
  let hex = magnitude.toString(16)
  if (hex.length % 2 === 1) hex = `0${hex}`
  out.byte(value < 0n ? TAG.negativeBigint : TAG.bigint)
  out.varint(hex.length / 2)
  out.bytes(Buffer.from(hex, 'hex').reverse())
}

function writeObject(out: ByteWriter, value: object, shapes: ShapeTable, depth: number): void {
  if (depth >= DEPTH_MAX) throw new Unserialisable(`a value nested deeper than ${DEPTH_MAX}, or a cycle`)
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) writePlain(out, value as Record<string, unknown>, shapes, depth + 1)
  else if (prototype === Array.prototype) writeArray(out, value as unknown[], shapes, depth + 1)
  else if (prototype === Map.prototype) writeMap(out, value as Map<unknown, unknown>, shapes, depth + 1)
  else if (prototype === Set.prototype) writeSet(out, value as Set<unknown>, shapes, depth + 1)
  else if (prototype === Date.prototype) {
    out.byte(TAG.date)
    out.float64((value as Date).getTime())
  } else writeBinary(out, value, prototype)
}

function writeMap(out: ByteWriter, value: Map<unknown, unknown>, shapes: ShapeTable, depth: number): void {
  out.byte(TAG.map)
  out.varint(value.size)
  for (const [key, item] of value) {
    writeValue(out, key, shapes, depth)
    writeValue(out, item, shapes, depth)
  }
}

function writeSet(out: ByteWriter, value: Set<unknown>, shapes: ShapeTable, depth: number): void {
  out.byte(TAG.set)
  out.varint(value.size)
  for (const item of value) writeValue(out, item, shapes, depth)
}

function writePlain(out: ByteWriter, value: Record<string, unknown>, shapes: ShapeTable, depth: number): void {
  const shape = shapes.find(value)
  if (shape !== undefined) {
    out.byte(TAG.object)
    out.varint(shape.id)
    for (const key of shape.keys) writeValue(out, value[key], shapes, depth)
    return
  }
  const keys = Object.keys(value)
  out.byte(TAG.dictionary)
  out.varint(keys.length)
  for (const key of keys) {
    writeString(out, key)
    writeValue(out, value[key], shapes, depth)
  }
}

function writeArray(out: ByteWriter, value: unknown[], shapes: ShapeTable, depth: number): void {
  out.byte(TAG.array)
  out.varint(value.length)
  for (let i = 0; i < value.length; i++) {
    const item = value[i]
    if (item === undefined && !(i in value)) out.byte(TAG.hole)
    else writeValue(out, item, shapes, depth)
  }
}

function writeBinary(out: ByteWriter, value: object, prototype: object): void {
  if (prototype === ArrayBuffer.prototype) {
    const bytes = new Uint8Array(value as ArrayBuffer)
    out.byte(TAG.arrayBuffer)
    out.varint(bytes.length)
    out.bytes(bytes)
    return
  }
  const kind = TYPED_ARRAYS.findIndex(entry => entry.prototype === prototype)
  if (kind < 0)
    throw new Unserialisable(`an instance of ${(prototype.constructor as { name?: string } | undefined)?.name || 'a class'}`)
  const view = value as Uint8Array
  out.byte(TAG.typedArray)
  out.byte(kind)
  out.varint(view.byteLength)
  out.bytes(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
}
