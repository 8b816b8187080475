import { ByteReader } from './byte-reader.ts'
import { type Column, readColumn } from './column-reader.ts'
import {
  BARRIER_COLUMNS,
  ENTRY_BARRIER,
  ENTRY_RECORD,
  ENTRY_WATERMARK,
  GROUP,
  RECORD_EXTRA_COLUMNS,
  WATERMARK_COLUMNS,
} from './group.ts'
import { CELLS_MAX, GROUPS_MAX, SHAPES_MAX } from './limits.ts'
import { type RowBuilder, rowBuilder } from './rows.ts'
import { readString } from './value-reader.ts'

/** The entries of one (edge, kind, shape), or the watermarks, or the barriers of a frame. */
export interface GroupColumns {
  readonly entry: number
  readonly edge: number
  readonly kind: number
  /** Undefined: values are a column of their own, the first. */
  readonly build: RowBuilder | undefined
  readonly columns: readonly Column[]
  readonly timestamps: Column
  readonly keys: Column
  readonly rows: number
}

export interface Body {
  readonly groups: readonly GroupColumns[]
  /** The group of each entry; undefined when there is only one. */
  readonly tags: Uint8Array | Uint16Array | undefined
}

/** Decodes a body of `count` entries, checking every count in it against what is there. @throws FrameError `corrupt` */
export function readBody(bytes: Uint8Array, count: number): Body {
  const from = new ByteReader(bytes)
  const shapes = readShapes(from)
  const groupCount = from.varint()
  if (groupCount > GROUPS_MAX || groupCount > count) from.fail(`${groupCount} groups for ${count} entries`)
  const groups: GroupColumns[] = []
  let rows = 0
  let cells = 0
  for (let i = 0; i < groupCount; i++) {
    const group = readGroup(from, shapes, count - rows, CELLS_MAX - cells)
    rows += group.rows
    cells += group.rows * group.columns.length
    groups.push(group)
  }
  if (rows !== count) from.fail(`${rows} rows for ${count} entries`)
  const tags = groupCount > 1 ? readTags(from, groups, count) : undefined
  if (from.at !== from.end) from.fail('bytes behind the last column')
  return { groups, tags }
}

function readShapes(from: ByteReader): string[][] {
  const count = from.varint()
  if (count > SHAPES_MAX) from.fail(`${count} shapes`)
  return Array.from({ length: count }, () => {
    const keys = from.varint()
    from.need(keys)
    return Array.from({ length: keys }, () => readString(from))
  })
}

function readGroup(from: ByteReader, shapes: readonly (readonly string[])[], rowsMax: number, cellsMax: number): GroupColumns {
  const type = from.byte()
  const rows = from.varint()
  if (rows === 0 || rows > rowsMax) from.fail(`a group of ${rows} rows`)
  const isRecord = type === GROUP.rows || type === GROUP.values
  const edge = isRecord ? from.varint() : 0
  const kind = isRecord ? from.byte() : 0
  if (edge > 0xffffffff || kind > 15) from.fail('an edge or kind out of range')
  const keys = type === GROUP.rows ? (shapes[from.varint()] ?? from.fail('an unknown shape')) : undefined
  const fields = keys?.length ?? columnsOf(from, type)
  const width = isRecord ? fields + RECORD_EXTRA_COLUMNS : fields
  if (rows * width > cellsMax) from.fail('too many values')
  const columns: Column[] = []
  for (let i = 0; i < width; i++) columns.push(readColumn(from, rows, shapes, columns))
  return {
    entry: isRecord ? ENTRY_RECORD : type === GROUP.watermarks ? ENTRY_WATERMARK : ENTRY_BARRIER,
    edge,
    kind,
    build: keys === undefined ? undefined : rowBuilder(keys, rows),
    columns,
    timestamps: columns[isRecord ? fields : 0]!,
    keys: columns[isRecord ? fields + 1 : 0]!,
    rows,
  }
}

/** Columns of a group that are not a record's timestamp and key, other than fields. */
function columnsOf(from: ByteReader, type: number): number {
  if (type === GROUP.values) return 1
  if (type === GROUP.watermarks) return WATERMARK_COLUMNS
  return type === GROUP.barriers ? BARRIER_COLUMNS : from.fail(`unknown group type ${type}`)
}

function readTags(from: ByteReader, groups: readonly GroupColumns[], count: number): Uint8Array | Uint16Array {
  const bytes = from.bytes(groups.length > 256 ? count * 2 : count)
  const tags = groups.length > 256 ? new Uint16Array(bytes.buffer) : bytes
  const rows = new Uint32Array(groups.length)
  for (let i = 0; i < count; i++) {
    if (tags[i]! >= groups.length) from.fail('a tag without a group')
    rows[tags[i]!]!++
  }
  for (let i = 0; i < rows.length; i++) if (rows[i] !== groups[i]!.rows) from.fail('tags that do not fit their groups')
  return tags
}
