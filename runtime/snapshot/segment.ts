import { crc32, zstdCompressSync } from 'node:zlib'
import { SnapshotError } from './error.ts'
import { FilterWriter } from './filter-writer.ts'
import { SEPARATOR, type SnapshotItem } from './item.ts'
import { ItemWriter } from './item-writer.ts'
import { readItems } from './items.ts'
import { type Block, decodeIndex, decompress, encodeIndex, HEADER_BYTES, readBlock } from './segment-index.ts'

/**
 * A segment: items sorted by address, immutable, in blocks that are compressed and checksummed one by one, with an index and a filter behind them
 * (docs/snapshot-format.md), so that an item can be read without the rest.
 */
const MAGIC = 0x4753524d // 'MRSG'
const VERSION = 2
/** All items compressed in one piece, without an index. Read, not written any more. */
const VERSION_WHOLE = 1
/** Raw bytes at which a block is complete: what a read of one item takes. */
const BLOCK_BYTES = 32 * 1024

export interface WrittenSegment {
  readonly bytes: Uint8Array
  readonly items: number
  /** The address of its first item. */
  readonly first: string
  /** Where its index begins, which goes to its end. */
  readonly index: number
}

/** Gathers items, which have to come in order of address, into the bytes of a segment. */
export class SegmentWriter {
  private readonly items = new ItemWriter()
  private readonly filter = new FilterWriter()
  private blocks: Block[] = []
  private stored: Uint8Array[] = []
  private first = ''
  private length = HEADER_BYTES
  private rawDone = 0
  private itemsDone = 0
  private partition = ''

  get count(): number {
    return this.itemsDone + this.items.count
  }

  get rawBytes(): number {
    return this.rawDone + this.items.length
  }

  add(item: SnapshotItem): void {
    const { address } = item
    const bytes = Buffer.from(address)
    if (this.items.count === 0) this.first = address
    this.items.add(bytes, item)
    this.filter.add(bytes)
    if (this.partition === '' || !address.startsWith(this.partition)) {
      this.partition = address.slice(0, address.indexOf(SEPARATOR) + SEPARATOR.length)
      this.filter.add(bytes, Buffer.byteLength(this.partition))
    }
    if (this.items.length >= BLOCK_BYTES) this.closeBlock()
  }

  /** The segment so far, which has an item at least; the writer is empty again. */
  finish(): WrittenSegment {
    if (this.items.count > 0) this.closeBlock()
    const index = encodeIndex({ blocks: this.blocks, filter: this.filter.finish() })
    const header = Buffer.allocUnsafe(HEADER_BYTES)
    header.writeUInt32LE(MAGIC, 0)
    header.writeUInt32LE(VERSION, 4)
    header.writeUInt32LE(this.length + index.length, 8)
    header.writeUInt32LE(this.itemsDone, 12)
    header.writeUInt32LE(this.length, 16)
    header.writeUInt32LE(this.blocks.length, 20)
    header.writeUInt32LE(crc32(header.subarray(0, 24)), 24)
    const bytes = Buffer.concat([header, ...this.stored, index])
    const written = { bytes, items: this.itemsDone, first: this.blocks[0]?.first ?? '', index: this.length }
    this.blocks = []
    this.stored = []
    this.length = HEADER_BYTES
    this.rawDone = 0
    this.itemsDone = 0
    this.partition = ''
    return written
  }

  private closeBlock(): void {
    const { length: rawBytes, count } = this.items
    const stored = zstdCompressSync(this.items.take())
    this.blocks.push({
      offset: this.length,
      bytes: stored.length,
      rawBytes,
      items: count,
      crc: crc32(stored),
      first: this.first,
    })
    this.stored.push(stored)
    this.length += stored.length
    this.rawDone += rawBytes
    this.itemsDone += count
  }
}

/**
 * The items of a segment, in order.
 * @throws SnapshotError when it is damaged, cut off, or of another format; `name` says which it is
 */
export function* readSegment(segment: Uint8Array, name: string): Generator<SnapshotItem> {
  const bytes = Buffer.from(segment.buffer, segment.byteOffset, segment.byteLength)
  const version = checkHeader(bytes, name)
  const items = bytes.readUInt32LE(12)
  if (version === VERSION_WHOLE) {
    const body = bytes.subarray(HEADER_BYTES)
    if (crc32(body) !== bytes.readUInt32LE(20)) throw new SnapshotError(`segment ${name} is damaged: it fails its checksum`)
    yield* readItems(decompress(body, bytes.readUInt32LE(16), name), items, name)
    return
  }
  const { blocks } = decodeIndex(bytes.subarray(bytes.readUInt32LE(16)), name)
  const found = blocks.reduce((sum, b) => sum + b.items, 0)
  if (found !== items || blocks.length !== bytes.readUInt32LE(20))
    throw new SnapshotError(`segment ${name} is damaged: its index doesn't add up`)
  for (const block of blocks) yield* readBlock(bytes.subarray(block.offset, block.offset + block.bytes), block, name)
}

function checkHeader(bytes: Buffer, name: string): number {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC)
    throw new SnapshotError(`${name} is no segment of a snapshot`)
  if (crc32(bytes.subarray(0, 24)) !== bytes.readUInt32LE(24))
    throw new SnapshotError(`segment ${name} is damaged: its header fails its checksum`)
  const version = bytes.readUInt32LE(4)
  if (version !== VERSION && version !== VERSION_WHOLE)
    throw new SnapshotError(`segment ${name} has format ${version}; this Millrace reads formats ${VERSION_WHOLE} and ${VERSION}`)
  if (bytes.readUInt32LE(8) !== bytes.length)
    throw new SnapshotError(`segment ${name} is cut off: it has ${bytes.length} of ${bytes.readUInt32LE(8)} bytes`)
  return version
}
