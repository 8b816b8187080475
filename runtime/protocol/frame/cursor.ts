import type { Body } from './body-reader.ts'
import { ENTRY_BARRIER, ENTRY_RECORD } from './group.ts'

/**
 * Goes through the entries of a frame in the order in which they were written, without allocating anything but the
 * records' values. After `next()` the fields of that type of entry hold; the others are left over from before.
 *
 * @example
 * for (let type = cursor.next(); type >= 0; type = cursor.next()) if (type === ENTRY_RECORD) use(cursor.value, cursor.timestamp)
 */
export class FrameCursor {
  /** Entries consumed so far, the current one included: a commit position within the frame. */
  offset = 0
  edge = 0
  value: unknown = undefined
  timestamp = 0
  key: unknown = undefined
  /** 0 insert, 1 update-before, 2 update-after, 3 delete. */
  kind = 0
  /** Of a watermark or a barrier. */
  watermark = -Infinity
  checkpoint = 0
  savepoint = false

  private readonly body: Body
  private readonly count: number
  /** Rows consumed of each group. */
  private readonly rows: Uint32Array

  constructor(body: Body, count: number) {
    this.body = body
    this.count = count
    this.rows = new Uint32Array(body.groups.length)
  }

  /** Moves to the next entry; its type, or -1 at the end. */
  next(): number {
    if (this.offset >= this.count) return -1
    const { groups, tags } = this.body
    const index = tags === undefined ? 0 : tags[this.offset]!
    this.offset++
    const group = groups[index]!
    const row = this.rows[index]!++
    if (group.entry !== ENTRY_RECORD) {
      this.watermark = group.timestamps[row]
      if (group.entry === ENTRY_BARRIER) {
        this.checkpoint = group.columns[1]![row]
        this.savepoint = group.columns[2]![row]
      }
      return group.entry
    }
    this.edge = group.edge
    this.kind = group.kind
    this.timestamp = group.timestamps[row]
    this.key = group.keys[row]
    this.value = group.build === undefined ? group.columns[0]![row] : group.build(group.columns, row)
    return ENTRY_RECORD
  }

  /** Passes over entries without building their values. @throws RangeError when the frame has fewer left */
  skip(entries: number): void {
    if (!Number.isSafeInteger(entries) || entries < 0 || entries > this.count - this.offset)
      throw new RangeError(`cannot skip ${entries} of the ${this.count - this.offset} entries left in the frame`)
    const { tags } = this.body
    if (tags === undefined) {
      if (entries > 0) this.rows[0]! += entries
    } else for (let i = this.offset; i < this.offset + entries; i++) this.rows[tags[i]!]!++
    this.offset += entries
  }
}
