import { isAscii, isUtf8 } from 'node:buffer'

const NEWLINE = 10
const RETURN = 13

/** What a chunk gave: records, and for each of them where its line ends and how many lines that makes. */
export interface Lines {
  readonly records: (string | Uint8Array)[]
  /** Byte behind the record's line, counted from the chunk's start. */
  readonly ends: number[]
  /** Lines of the chunk up to and with the record's. */
  readonly counts: number[]
}

/**
 * Whole lines in memory, handed out bit by bit. Empty lines are skipped, CRLF ends a line as LF does. A chunk of plain ASCII is decoded at once and cut
 * as a string, which is several times as fast as line by line; any other is cut as bytes, so that offsets stay right.
 */
export class LineChunk {
  /** Bytes and lines handed out so far. */
  offset = 0
  line = 0
  private readonly bytes: Buffer
  private readonly text: string | undefined
  private readonly valid: boolean

  /** `bytes` holds whole lines; only the last one of an input may lack its newline. */
  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.text = isAscii(bytes) ? bytes.toString('latin1') : undefined
    this.valid = this.text !== undefined || isUtf8(bytes)
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
    const lines: Lines = { records: [], ends: [], counts: [] }
    if (this.text !== undefined) this.takeText(this.text, limit, lines)
    else this.takeBytes(limit, lines)
    return lines
  }

  private takeText(text: string, limit: number, { records, ends, counts }: Lines): void {
    let { offset, line } = this
    while (records.length < limit && offset < text.length) {
      const newline = text.indexOf('\n', offset)
      const next = newline === -1 ? text.length : newline + 1
      let end = newline === -1 ? text.length : newline
      if (end > offset && text.charCodeAt(end - 1) === RETURN) end--
      line++
      if (end > offset) {
        records.push(text.slice(offset, end))
        ends.push(next)
        counts.push(line)
      }
      offset = next
    }
    this.seek(offset, line)
  }

  private takeBytes(limit: number, { records, ends, counts }: Lines): void {
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
