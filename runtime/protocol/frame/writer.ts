import { constants, zstdCompressSync } from 'node:zlib'
import { ByteWriter } from './byte-writer.ts'
import { FrameError } from './error.ts'
import { GROUP } from './group.ts'
import { GroupWriter } from './group-writer.ts'
import { type FrameHeader, sealFrame } from './header.ts'
import { CELLS_MAX, COMPRESS_BYTES_MIN, ENTRIES_MAX, FULL_BYTES, GROUPS_MAX, RECORD_BYTES_MAX, ROW_GROUPS_MAX } from './limits.ts'
import { hasKeys, type Shape, ShapeTable } from './shapes.ts'
import { unserialisablePath } from './value-path.ts'
import { Unserialisable, writeString } from './value-writer.ts'

const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
const KIND_MAX = 15
const EDGE_MAX = 0xffffffff
/** Groups that are kept, with their buffers, from frame to frame. */
const KEPT_GROUPS_MAX = 512

/**
 * Collects the entries for one channel, column by column, and encodes them into frames. Values are captured when they are
 * passed in: changing an object afterwards does not change what is sent. Reusable: `finish` empties it.
 *
 * @example
 * const writer = new FrameWriter()
 * writer.record(0, { user: 'a', clicks: 3 }, 1_700_000_000_000, 'a')
 * writer.watermark(1_700_000_000_000)
 * const bytes = writer.finish({ run: 'r1', producer: 0, version: 1, attempt: 'x', index: 1, predVersion: 0, predIndex: 0 })
 */
export class FrameWriter {
  private readonly compression: boolean
  private readonly shapes = new ShapeTable()
  private readonly groups = new Map<number | Shape, GroupWriter[]>()
  private kept = 0
  private active: GroupWriter[] = []
  private rowGroups = 0
  private recent: GroupWriter | undefined
  private readonly watermarks = new GroupWriter(GROUP.watermarks, 0, 0, undefined)
  private readonly barriers = new GroupWriter(GROUP.barriers, 0, 0, undefined)
  private tags = new Uint16Array(64)
  private entries = 0
  private cells = 0
  private bytes = 0
  private readonly out = new ByteWriter(1024)

  /** `compression` (default true): zstd, level 1, for bodies of 512 bytes and more, kept where it helps. */
  constructor(options: { compression?: boolean } = {}) {
    this.compression = options.compression ?? true
  }

  /** Entries so far. */
  get count(): number {
    return this.entries
  }

  /** A running estimate of the body before compression; the real size is at most about three times as much. */
  get approximateBytes(): number {
    return this.bytes
  }

  /**
   * Adds a record for logical edge `edge` (uint32). `key` undefined: not carried. `kind` 0..15: 0 insert, 1 to 3 reserved for
   * update-before, update-after and delete.
   * @throws FrameError `unserialisable`, naming the field, and the writer is as before
   * @throws RangeError for an edge or kind out of range, and when the frame is full (far above any sensible size)
   */
  record(edge: number, value: unknown, timestamp: number, key: unknown, kind = 0): void {
    if (edge >>> 0 !== edge || edge > EDGE_MAX || !(kind >= 0 && kind <= KIND_MAX))
      throw new RangeError(`edge ${edge}, kind ${kind}`)
    const group = this.groupFor(edge, kind, value)
    const rows = group.rows
    let bytes = 0
    try {
      if (group.shape === undefined) bytes = group.fields[0]!.add(value, this.shapes)
      else bytes = this.addFields(group, value as Record<string, unknown>)
      bytes += group.timestamps.add(timestamp, this.shapes) + group.keys.add(key, this.shapes)
      if (bytes > RECORD_BYTES_MAX) throw new RangeError(`about ${bytes} bytes`)
    } catch (error) {
      group.undoTo(rows)
      throw refusal(error, value, key)
    }
    this.enter(group, bytes)
  }

  private addFields(group: GroupWriter, value: Record<string, unknown>): number {
    const { fields } = group
    const { keys } = group.shape!
    let bytes = 0
    for (let i = 0; i < keys.length; i++) bytes += fields[i]!.add(value[keys[i]!], this.shapes)
    return bytes
  }

  /** Adds a watermark, epoch ms; Infinity at the end of input. */
  watermark(ts: number): void {
    this.refuseWhenFull()
    if (Number.isNaN(ts)) throw new RangeError('a watermark that is not a number')
    this.enter(this.watermarks, this.watermarks.fields[0]!.add(ts, this.shapes))
  }

  /** Adds barrier `checkpoint` with the watermark that it carries (protocol.md, D2). */
  barrier(checkpoint: number, watermark: number, savepoint = false): void {
    if (!Number.isSafeInteger(checkpoint) || checkpoint < 0 || Number.isNaN(watermark))
      throw new RangeError(`barrier ${checkpoint}`)
    this.refuseWhenFull()
    const [first, second, third] = this.barriers.fields
    first!.add(watermark, this.shapes)
    second!.add(checkpoint, this.shapes)
    third!.add(savepoint, this.shapes)
    this.enter(this.barriers, 12)
  }

  /** Counts an entry whose columns are written. */
  private enter(group: GroupWriter, bytes: number): void {
    if (group.index < 0) {
      group.index = this.active.length
      this.active.push(group)
    }
    group.rows++
    if (this.entries === this.tags.length) {
      const larger = new Uint16Array(this.entries * 2)
      larger.set(this.tags)
      this.tags = larger
    }
    this.tags[this.entries++] = group.index
    this.cells += group.cells
    this.bytes += bytes
  }

  private groupFor(edge: number, kind: number, value: unknown): GroupWriter {
    this.refuseWhenFull()
    const plain = isPlain(value)
    const recent = this.recent
    if (recent !== undefined && recent.edge === edge && recent.kind === kind) {
      if (plain ? recent.shape !== undefined && hasKeys(value, recent.shape.keys) : recent.shape === undefined) return recent
    }
    const shape = plain ? this.shapes.find(value) : undefined
    let group = this.lookUp(edge, kind, shape)
    // Too many shapes for columns of their own: whole values in one column instead.
    if (shape !== undefined && group.index < 0 && this.rowGroups >= ROW_GROUPS_MAX) group = this.lookUp(edge, kind, undefined)
    if (group.index < 0) {
      if (this.active.length >= GROUPS_MAX - 2) throw new RangeError('too many edges in one frame')
      if (group.shape !== undefined) this.rowGroups++
    }
    this.recent = plain && group.shape === undefined ? undefined : group
    return group
  }

  private refuseWhenFull(): void {
    if (this.entries < ENTRIES_MAX && this.cells < CELLS_MAX / 2 && this.bytes < FULL_BYTES) return
    throw new RangeError(`the frame is full: ${this.entries} entries, about ${this.bytes} bytes`)
  }

  private lookUp(edge: number, kind: number, shape: Shape | undefined): GroupWriter {
    const id = shape ?? edge
    let candidates = this.groups.get(id)
    if (candidates === undefined) {
      candidates = []
      this.groups.set(id, candidates)
    }
    for (const group of candidates) if (group.edge === edge && group.kind === kind) return group
    const group = new GroupWriter(shape === undefined ? GROUP.values : GROUP.rows, edge, kind, shape)
    candidates.push(group)
    this.kept++
    return group
  }

  /** Encodes what was added, and empties the writer. @throws RangeError for a header that breaks its own rules */
  finish(header: FrameHeader): Uint8Array {
    const count = this.entries
    const body = this.encodeBody()
    const packed = this.compression && body.length >= COMPRESS_BYTES_MIN ? zstdCompressSync(body, ZSTD) : body
    const compressed = packed.length < body.length
    const data = sealFrame(header, compressed ? packed : body, { bytes: body.length, count, compressed })
    this.reset()
    return data
  }

  private encodeBody(): Uint8Array {
    const { out, shapes } = this
    out.at = 0
    out.varint(shapes.used.length)
    for (const shape of shapes.used) {
      out.varint(shape.keys.length)
      for (const key of shape.keys) writeString(out, key)
    }
    out.varint(this.active.length)
    for (const group of this.active) group.write(out, shapes)
    if (this.active.length > 1) this.writeTags()
    return out.buffer.subarray(0, out.at)
  }

  private writeTags(): void {
    const tags = this.tags.subarray(0, this.entries)
    if (this.active.length > 256) this.out.bytes(new Uint8Array(tags.buffer, 0, tags.byteLength))
    else this.out.bytes(new Uint8Array(tags))
  }

  private reset(): void {
    for (const group of this.active) group.reset()
    this.active = []
    this.rowGroups = 0
    this.recent = undefined
    this.entries = 0
    this.cells = 0
    this.bytes = 0
    this.shapes.reset()
    if (this.kept <= KEPT_GROUPS_MAX) return
    this.groups.clear()
    this.kept = 0
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** What the caller gets to see of an error that a column threw. */
function refusal(error: unknown, value: unknown, key: unknown): unknown {
  if (error instanceof RangeError) return new FrameError('unserialisable', `a value too large for a frame: ${error.message}`)
  if (!(error instanceof Unserialisable)) return error
  const path = unserialisablePath({ value, key })
    .replace(/^\$\.value/, '$')
    .replace(/^\$\.key/, '$key')
  const part = { path, kind: error.message }
  return new FrameError('unserialisable', `${path} is ${error.message}, which cannot be sent to another function`, { part })
}
