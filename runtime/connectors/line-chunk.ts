import { isAscii, isUtf8 } from 'node:buffer'

const NEWLINE = 10
const RETURN = 13
/** Of text at a time, about. V8 has larger strings outside of its young generation, and looks through all of its heap again and again when many of those have come. */
const TEXT_BYTES = 64 << 10

/** What a chunk gave: records, and for each of them where it lies and how many lines that makes. */
export interface Lines {
  readonly records: (string | Uint8Array)[]
  /** Where the record begins, counted from the chunk's start. */
  readonly starts: number[]
  /** Byte behind the record's line, counted from the chunk's start. */
  readonly ends: number[]
  /** Lines of the chunk up to and with the record's. */
  readonly counts: number[]
}

/**
 * Whole lines in memory, handed out bit by bit. Empty lines are skipped, CRLF ends a line as LF does. A chunk of plain ASCII is decoded many lines at a
 * time and cut as strings, which is several times as fast as line by line; any other is cut as bytes, so that offsets stay right.
 */
export class LineChunk {
  /** Bytes and lines handed out so far. */
  offset = 0
  line = 0
  readonly bytes: Buffer
  readonly ascii: boolean
  private readonly valid: boolean
  /** Whole lines of it, decoded, and where they begin. */
  private text = ''
  private textStart = 0

  /** `bytes` holds whole lines; only the last one of an input may lack its newline. */
  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.ascii = isAscii(bytes)
    this.valid = this.ascii || isUtf8(bytes)
  }

  get length(): number {
    return this.bytes.length
  }

  get exhausted(): boolean {
    return this.offset === this.bytes.length
  }

  /** Goes to an earlier or later place, the start of a line. */
  seek(offset: number, line: number): void {
    this.offset = offset
    this.line = line
  }

  /** The next records, at most `limit`. */
  take(limit: number): Lines {
    const lines: Lines = { records: [], starts: [], ends: [], counts: [] }
    if (!this.ascii) this.takeBytes(limit, lines)
    else while (lines.records.length < limit && !this.exhausted) this.takeText(limit, lines)
    return lines
  }

  private takeText(limit: number, { records, starts, ends, counts }: Lines): void {
    this.decodeAhead()
    const { text, textStart } = this
    let { line } = this
    let at = this.offset - textStart
    while (records.length < limit && at < text.length) {
      const newline = text.indexOf('\n', at)
      const next = newline === -1 ? text.length : newline + 1
      let end = newline === -1 ? text.length : newline
      if (end > at && text.charCodeAt(end - 1) === RETURN) end--
      line++
      if (end > at) {
        records.push(text.slice(at, end))
        starts.push(textStart + at)
        ends.push(textStart + next)
        counts.push(line)
      }
      at = next
    }
    this.seek(textStart + at, line)
  }

  /** The lines at `offset` become text, if they are not already. */
  private decodeAhead(): void {
    const { bytes, offset } = this
    if (offset >= this.textStart && offset < this.textStart + this.text.length) return
    let to = Math.min(bytes.length, offset + TEXT_BYTES)
    if (to < bytes.length) to = endOfLine(bytes, offset, to)
    this.textStart = offset
    this.text = bytes.toString('latin1', offset, to)
  }

  private takeBytes(limit: number, { records, starts, ends, counts }: Lines): void {
    const bytes = this.bytes
    let { offset, line } = this
    while (records.length < limit && offset < bytes.length) {
      const newline = bytes.indexOf(NEWLINE, offset)
      const next = newline === -1 ? bytes.length : newline + 1
      let end = newline === -1 ? bytes.length : newline
      if (end > offset && bytes[end - 1] === RETURN) end--
      line++
      if (end > offset) {
        records.push(this.decode(offset, end))
        starts.push(offset)
        ends.push(next)
        counts.push(line)
      }
      offset = next
    }
    this.seek(offset, line)
  }

  /** A line that is not UTF-8 stays bytes: decoding it would lose what was wrong with it. */
  private decode(start: number, end: number): string | Uint8Array {
    if (this.valid) return this.bytes.toString('utf8', start, end)
    const line = this.bytes.subarray(start, end)
    return isUtf8(line) ? line.toString() : Uint8Array.from(line)
  }
}

/** The end of the last line that ends before `to`, or else of the line that begins at `from`. */
function endOfLine(bytes: Buffer, from: number, to: number): number {
  const last = bytes.lastIndexOf(NEWLINE, to - 1)
  if (last >= from) return last + 1
  const first = bytes.indexOf(NEWLINE, to)
  return first === -1 ? bytes.length : first + 1
}
