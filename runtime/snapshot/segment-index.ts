import { crc32, zstdDecompressSync } from 'node:zlib'
import { SnapshotError } from './error.ts'
import type { SnapshotItem } from './item.ts'
import { ByteReader, readItems, writeVarint } from './items.ts'

/** A block of a segment: items that are compressed together, and read together. */
export interface Block {
  /** In the segment. */
  readonly offset: number
  /** As stored. */
  readonly bytes: number
  readonly rawBytes: number
  readonly items: number
  readonly crc: number
  /** The address of its first item. */
  readonly first: string
}

/** Where the items of a segment are, and which are certainly not there. */
export interface SegmentIndex {
  readonly blocks: readonly Block[]
  /** Addresses, and partitions (an address up to and with its separator): see filter.ts. */
  readonly filter: Uint8Array
}

/** In front of a segment's first block. */
export const HEADER_BYTES = 28
/** Raw bytes of one block at most, save for a larger single item. */
const RAW_BYTES_MAX = 512 * 1024 * 1024

export function encodeIndex({ blocks, filter }: SegmentIndex): Uint8Array {
  const firsts = blocks.map(b => Buffer.from(b.first))
  const buffer = Buffer.allocUnsafe(firsts.reduce((sum, f) => sum + f.length + 30, 40 + filter.length))
  let at = writeVarint(buffer, 0, blocks.length)
  for (const [i, block] of blocks.entries()) {
    for (const n of [block.bytes, block.rawBytes, block.items]) at = writeVarint(buffer, at, n)
    at = buffer.writeUInt32LE(block.crc, at)
    at = writeVarint(buffer, at, firsts[i]!.length)
    at += firsts[i]!.copy(buffer, at)
  }
  at = writeVarint(buffer, at, filter.length)
  buffer.set(filter, at)
  at += filter.length
  return buffer.subarray(0, buffer.writeUInt32LE(crc32(buffer.subarray(0, at)), at))
}

/**
 * What is behind a segment's blocks.
 * @throws SnapshotError when it is damaged; `name` says which segment it is
 */
export function decodeIndex(index: Uint8Array, name: string): SegmentIndex {
  const bytes = Buffer.from(index.buffer, index.byteOffset, index.byteLength)
  const end = bytes.length - 4
  if (end < 0 || crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end))
    throw new SnapshotError(`segment ${name} is damaged: its index fails its checksum`)
  const reader = new ByteReader(bytes.subarray(0, end), `segment ${name} is damaged: its index doesn't add up`)
  const blocks: Block[] = []
  let offset = HEADER_BYTES
  for (let left = reader.varint(); left > 0; left--) {
    const [stored, rawBytes, items] = [reader.varint(), reader.varint(), reader.varint()]
    const crc = reader.take(4).readUInt32LE(0)
    blocks.push({ offset, bytes: stored, rawBytes, items, crc, first: reader.take(reader.varint()).toString() })
    offset += stored
  }
  const filter = new Uint8Array(reader.take(reader.varint()))
  reader.end()
  // One of nothing would say of every item that it is not there.
  if (filter.length === 0) throw reader.damaged()
  return { blocks, filter }
}

/**
 * The items of a block, in order. `stored`: its bytes.
 * @throws SnapshotError when it is damaged; `name` says which segment it is in
 */
export function readBlock(stored: Uint8Array, { bytes, rawBytes, items, crc }: Block, name: string): Generator<SnapshotItem> {
  if (stored.length !== bytes || crc32(stored) !== crc)
    throw new SnapshotError(`segment ${name} is damaged: it fails its checksum`)
  return readItems(decompress(stored, rawBytes, name), items, name)
}

/** @throws SnapshotError */
export function decompress(stored: Uint8Array, rawBytes: number, name: string): Uint8Array {
  if (rawBytes > RAW_BYTES_MAX) throw new SnapshotError(`segment ${name} is damaged: ${rawBytes} bytes are more than any has`)
  let raw: Buffer
  try {
    raw = zstdDecompressSync(stored, { maxOutputLength: Math.max(1, rawBytes) })
  } catch (cause) {
    throw new SnapshotError(`segment ${name} is damaged: it does not decompress`, { cause })
  }
  if (raw.length === rawBytes) return raw
  throw new SnapshotError(`segment ${name} is damaged: it holds ${raw.length} bytes, not ${rawBytes}`)
}
