import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { SnapshotError } from './error.ts'
import type { SnapshotItem } from './item.ts'

/**
 * A segment: items sorted by address, immutable, compressed and checksummed (docs/snapshot-format.md). Addresses share their beginnings with the one
 * before, so that only the rest is written.
 */
const MAGIC = 0x4753524d // 'MRSG'
const VERSION = 1
const HEADER_BYTES = 28
const WRITTEN = 1
const EXPIRES = 2

/** Raw bytes of one segment at most, save for a larger single item. */
const RAW_BYTES_MAX = 512 * 1024 * 1024

/** Gathers items, which have to come in order of address, into the bytes of a segment. */
export class SegmentWriter {
  private buffer = Buffer.allocUnsafe(64 * 1024)
  private length = 0
  private previous = Buffer.alloc(0)
  private items = 0

  get count(): number {
    return this.items
  }

  get rawBytes(): number {
    return this.length
  }

  add({ address, value, expiry }: SnapshotItem): void {
    const bytes = Buffer.from(address)
    const shared = sharedBytes(this.previous, bytes)
    this.reserve(40 + bytes.length - shared + (value?.length ?? 0))
    this.varint(shared)
    this.varint(bytes.length - shared)
    this.length += bytes.copy(this.buffer, this.length, shared)
    this.buffer[this.length++] = (value === undefined ? 0 : WRITTEN) | (expiry === undefined ? 0 : EXPIRES)
    if (expiry !== undefined) this.length = this.buffer.writeDoubleLE(expiry, this.length)
    if (value !== undefined) {
      this.varint(value.length)
      this.buffer.set(value, this.length)
      this.length += value.length
    }
    this.previous = bytes
    this.items++
  }

  /** The segment so far; the writer is empty again. */
  finish(): Uint8Array {
    const body = zstdCompressSync(this.buffer.subarray(0, this.length))
    const segment = Buffer.allocUnsafe(HEADER_BYTES + body.length)
    segment.writeUInt32LE(MAGIC, 0)
    segment.writeUInt32LE(VERSION, 4)
    segment.writeUInt32LE(segment.length, 8)
    segment.writeUInt32LE(this.items, 12)
    segment.writeUInt32LE(this.length, 16)
    segment.writeUInt32LE(crc32(body), 20)
    segment.writeUInt32LE(crc32(segment.subarray(0, 24)), 24)
    segment.set(body, HEADER_BYTES)
    this.length = 0
    this.items = 0
    this.previous = Buffer.alloc(0)
    return segment
  }

  private varint(n: number): void {
    let rest = n
    while (rest > 0x7f) {
      this.buffer[this.length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.buffer[this.length++] = rest
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + bytes))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}

/**
 * The items of a segment, in order.
 * @throws SnapshotError when it is damaged, cut off, or of another format; `name` says which it is
 */
export function* readSegment(segment: Uint8Array, name: string): Generator<SnapshotItem> {
  const { raw, count } = open(segment, name)
  let at = 0
  let address = Buffer.alloc(0)
  const damaged = () => new SnapshotError(`segment ${name} is damaged: its items don't add up`)
  const varint = () => {
    let n = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = raw[at++]
      if (byte === undefined) throw damaged()
      n += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return n
    }
    throw damaged()
  }
  const take = (n: number) => {
    if (n > raw.length - at) throw damaged()
    at += n
    return raw.subarray(at - n, at)
  }
  for (let i = 0; i < count; i++) {
    const shared = varint()
    if (shared > address.length) throw damaged()
    address = Buffer.concat([address.subarray(0, shared), take(varint())])
    const flags = take(1)[0]!
    const expiry = flags & EXPIRES ? take(8).readDoubleLE(0) : undefined
    const value = flags & WRITTEN ? take(varint()) : undefined
    const text = address.toString()
    yield expiry === undefined ? { address: text, value } : { address: text, value, expiry }
  }
  if (at !== raw.length) throw damaged()
}

function open(segment: Uint8Array, name: string): { raw: Buffer; count: number } {
  const bytes = Buffer.from(segment.buffer, segment.byteOffset, segment.byteLength)
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC)
    throw new SnapshotError(`${name} is no segment of a snapshot`)
  if (crc32(bytes.subarray(0, 24)) !== bytes.readUInt32LE(24))
    throw new SnapshotError(`segment ${name} is damaged: its header fails its checksum`)
  const version = bytes.readUInt32LE(4)
  if (version !== VERSION) throw new SnapshotError(`segment ${name} has format ${version}; this Millrace reads format ${VERSION}`)
  if (bytes.readUInt32LE(8) !== bytes.length)
    throw new SnapshotError(`segment ${name} is cut off: it has ${bytes.length} of ${bytes.readUInt32LE(8)} bytes`)
  const body = bytes.subarray(HEADER_BYTES)
  if (crc32(body) !== bytes.readUInt32LE(20)) throw new SnapshotError(`segment ${name} is damaged: it fails its checksum`)
  const rawBytes = bytes.readUInt32LE(16)
  if (rawBytes > RAW_BYTES_MAX) throw new SnapshotError(`segment ${name} is damaged: ${rawBytes} bytes are more than any has`)
  const raw = decompress(body, rawBytes, name)
  if (raw.length !== rawBytes)
    throw new SnapshotError(`segment ${name} is damaged: it holds ${raw.length} bytes, not ${rawBytes}`)
  return { raw, count: bytes.readUInt32LE(12) }
}

function decompress(body: Buffer, rawBytes: number, name: string): Buffer {
  try {
    return zstdDecompressSync(body, { maxOutputLength: Math.max(1, rawBytes) })
  } catch (cause) {
    throw new SnapshotError(`segment ${name} is damaged: it does not decompress`, { cause })
  }
}

function sharedBytes(a: Buffer, b: Buffer): number {
  const end = Math.min(a.length, b.length)
  let n = 0
  while (n < end && a[n] === b[n]) n++
  return n
}
