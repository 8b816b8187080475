import { type ByteReader, unzigzag } from './byte-reader.ts'
import { DEPTH_MAX } from './limits.ts'
import { TAG, TYPED_ARRAYS } from './tags.ts'

/** Sets a key as an own property even if it is `__proto__`, which plain assignment would take for the prototype. */
export function setKey(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') target[key] = value
  else Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
}

/** Reads one tagged value. `shapes` are the key lists of the frame. @throws FrameError `corrupt` */
export function readValue(from: ByteReader, shapes: readonly (readonly string[])[], depth = 0): unknown {
  const tag = from.byte()
  if (tag >= TAG.smallInt) return tag - TAG.smallInt
  if (tag >= TAG.shortUtf8) return readText(from, tag - TAG.shortUtf8)
  switch (tag) {
    case TAG.null:
      return null
    case TAG.undefined:
      return undefined
    case TAG.false:
      return false
    case TAG.true:
      return true
    case TAG.int:
      return unzigzag(from.varint())
    case TAG.float:
      return from.float64()
    case TAG.utf8:
      return from.utf8(from.varint())
    case TAG.utf16:
      return from.utf16(from.varint())
    case TAG.bigint:
      return readMagnitude(from)
    case TAG.negativeBigint:
      return -readMagnitude(from)
    case TAG.date:
      return new Date(from.float64())
    case TAG.arrayBuffer:
      return from.bytes(from.varint()).buffer
    case TAG.typedArray:
      return readTypedArray(from)
    default:
      if (depth >= DEPTH_MAX) from.fail('nested too deeply')
      return readContainer(from, tag, shapes, depth + 1)
  }
}

/** Reads a value that must be a string: a key. */
export function readString(from: ByteReader): string {
  const value = readValue(from, [], DEPTH_MAX)
  return typeof value === 'string' ? value : from.fail('a key that is not a string')
}

/** A loop beats the call into the runtime for short ASCII. */
function readText(from: ByteReader, length: number): string {
  if (length > 12) return from.utf8(length)
  from.need(length)
  const { buffer, at } = from
  let text = ''
  for (let i = 0; i < length; i++) {
    const byte = buffer[at + i]!
    if (byte > 127) return from.utf8(length)
    text += String.fromCharCode(byte)
  }
  from.at = at + length
  return text
}

function readMagnitude(from: ByteReader): bigint {
  const bytes = from.bytes(from.varint())
  return bytes.length === 0 ? from.fail('an empty bigint') : BigInt(`0x${Buffer.from(bytes.reverse()).toString('hex')}`)
}

function readTypedArray(from: ByteReader): unknown {
  const kind = TYPED_ARRAYS[from.byte()] ?? from.fail('an unknown kind of typed array')
  const length = from.varint()
  if (length % kind.size !== 0) from.fail('a typed array of half an element')
  return kind.from(from.bytes(length))
}

function readContainer(from: ByteReader, tag: number, shapes: readonly (readonly string[])[], depth: number): unknown {
  switch (tag) {
    case TAG.array:
      return readArray(from, shapes, depth)
    case TAG.object: {
      const object: Record<string, unknown> = {}
      const keys = shapes[from.varint()] ?? from.fail('an unknown shape')
      for (let i = 0; i < keys.length; i++) setKey(object, keys[i]!, readValue(from, shapes, depth))
      return object
    }
    case TAG.dictionary: {
      const object: Record<string, unknown> = {}
      for (let i = readCount(from, 2); i > 0; i--) setKey(object, readString(from), readValue(from, shapes, depth))
      return object
    }
    case TAG.map: {
      const map = new Map()
      for (let i = readCount(from, 2); i > 0; i--) map.set(readValue(from, shapes, depth), readValue(from, shapes, depth))
      return map
    }
    case TAG.set: {
      const set = new Set()
      for (let i = readCount(from, 1); i > 0; i--) set.add(readValue(from, shapes, depth))
      return set
    }
    default:
      return from.fail(`unknown tag ${tag}`)
  }
}

function readArray(from: ByteReader, shapes: readonly (readonly string[])[], depth: number): unknown[] {
  const length = readCount(from, 1)
  const array: unknown[] = []
  for (let i = 0; i < length; i++) {
    if (from.buffer[from.at] === TAG.hole && from.at < from.end) {
      from.at++
      array.length = i + 1
    } else array.push(readValue(from, shapes, depth))
  }
  return array
}

function readCount(from: ByteReader, bytesEach: number): number {
  const count = from.varint()
  from.need(count * bytesEach)
  return count
}
