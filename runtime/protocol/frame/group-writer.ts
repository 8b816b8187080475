import type { ByteWriter } from './byte-writer.ts'
import { ColumnWriter } from './column-writer.ts'
import { ENCODING } from './encodings.ts'
import { GROUP } from './group.ts'
import type { Shape, ShapeTable } from './shapes.ts'

/** The entries of one (edge, kind, shape), the watermarks or the barriers, column by column. */
export class GroupWriter {
  readonly type: number
  readonly edge: number
  readonly kind: number
  readonly shape: Shape | undefined
  /** The value's own columns. */
  readonly fields: ColumnWriter[]
  readonly timestamps = new ColumnWriter()
  readonly keys = new ColumnWriter()
  /** Number in the current frame; -1 when it has no entry there yet. */
  index = -1
  rows = 0

  constructor(type: number, edge: number, kind: number, shape: Shape | undefined) {
    this.type = type
    this.edge = edge
    this.kind = kind
    this.shape = shape
    const fields = type === GROUP.barriers ? 3 : (shape?.keys.length ?? 1)
    this.fields = Array.from({ length: fields }, () => new ColumnWriter())
  }

  get isRecord(): boolean {
    return this.type === GROUP.rows || this.type === GROUP.values
  }

  /** Values that this group adds to the frame with each row. */
  get cells(): number {
    return this.isRecord ? this.fields.length + 2 : this.fields.length
  }

  /** Takes back what a refused record has left in the columns. */
  undoTo(rows: number): void {
    for (const column of [...this.fields, this.timestamps, this.keys]) if (column.rows > rows) column.undo()
  }

  write(out: ByteWriter, shapes: ShapeTable): void {
    out.byte(this.type)
    out.varint(this.rows)
    if (this.isRecord) {
      out.varint(this.edge)
      out.byte(this.kind)
      if (this.shape !== undefined) out.varint(this.shape.id)
    }
    const columns = this.isRecord ? [...this.fields, this.timestamps, this.keys] : this.fields
    const starts: number[] = []
    for (const column of columns) {
      starts.push(out.at)
      column.write(out, shapes)
      replaceCopy(out, starts)
    }
  }

  reset(): void {
    this.index = -1
    this.rows = 0
    for (const column of this.fields) column.reset()
    this.timestamps.reset()
    this.keys.reset()
  }
}

/**
 * Key and timestamp are mostly fields of the value as well. A column whose bytes equal an earlier one's becomes a reference.
 * Not for mixed columns: two columns would share objects when read.
 */
function replaceCopy(out: ByteWriter, starts: readonly number[]): void {
  const last = starts.length - 1
  const start = starts[last]!
  const bytes = out.at - start
  if (bytes <= 3 || out.buffer[start] === ENCODING.mixed) return
  for (let i = 0; i < last; i++) {
    const end = starts[i + 1]!
    if (end - starts[i]! !== bytes || out.buffer.compare(out.buffer, start, out.at, starts[i]!, end) !== 0) continue
    out.at = start
    out.byte(ENCODING.same)
    out.varint(i)
    return
  }
}
