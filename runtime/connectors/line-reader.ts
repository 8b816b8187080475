import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { brokenGzip, isGzipError, refuseStub } from './broken-gzip.ts'
import { type ByteReader, gzipBytes, isGzip, plainBytes, stdinBytes } from './byte-reader.ts'
import { ConnectorError, fileReason } from './error.ts'
import { JsonShapes } from './json-shapes.ts'
import { LineChunk, type Lines } from './line-chunk.ts'
import type { SourceBatch, SourcePosition, SplitReader } from './source.ts'
import { STDIN } from './stdin.ts'

/** A line longer than this is an error: it has to fit in memory, several times. */
const LINE_BYTES_MAX = 64 << 20
/** How long standard input may be silent before a read gives an empty batch, so that barriers and timers get their turn. */
const STDIN_WAIT_MS = 20

interface Position {
  /** Bytes of content (unpacked), a byte order mark included. */
  readonly offset: number
  /** Lines before it. */
  readonly line: number
}

const START: Position = { offset: 0, line: 0 }
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])
const NO_LINES: Lines = { records: [], starts: [], ends: [], counts: [] }

/** Reads the lines of one file; the position is `{ offset, line }`. Holds one chunk and reads ahead by another. */
export function openLines(path: string): SplitReader {
  return new LineReader(path)
}

class LineReader implements SplitReader {
  private readonly path: string
  private bytes: ByteReader | undefined
  /** The read of the next chunk, already under way. */
  private ahead: Promise<Buffer | undefined> | undefined
  private chunk = new LineChunk(Buffer.alloc(0))
  private readonly shapes = new JsonShapes()
  /** Where the chunk begins. */
  private start: Position = START
  /** Behind the chunk: the beginning of a line whose end is not read yet. */
  private rest: Buffer[] = []
  private restBytes = 0
  private ended = false

  constructor(path: string) {
    this.path = path
  }

  async read(position: SourcePosition | undefined, limit: number): Promise<SourceBatch> {
    try {
      await this.goTo((position as unknown as Position | undefined) ?? START)
      for (;;) {
        const lines = this.chunk.take(limit)
        if (lines.records.length > 0 || (this.chunk.exhausted && this.ended)) return this.batch(lines)
        if (this.chunk.exhausted && !(await this.advance())) return this.batch(NO_LINES)
      }
    } catch (error) {
      if (error instanceof ConnectorError) throw error
      if (isGzipError(error)) throw await brokenGzip(this.path === STDIN ? undefined : this.path, error)
      throw new ConnectorError(`reading ${this.name} failed near line ${this.start.line + 1}: ${fileReason(error)}`, {
        cause: error,
      })
    }
  }

  async close(): Promise<void> {
    // Not after `ahead`: standard input may be silent for ever.
    await this.bytes?.close()
    this.bytes = undefined
  }

  private get name(): string {
    return this.path === STDIN ? 'standard input' : this.path
  }

  private batch(lines: Lines): SourceBatch {
    const { offset, line } = this.start
    const { chunk, shapes } = this
    return {
      records: lines.records,
      json: chunk.ascii ? i => shapes.parse(lines.records[i] as string, chunk.bytes, lines.starts[i]!) : undefined,
      after: index => ({ offset: offset + lines.ends[index]!, line: line + lines.counts[index]! }),
      next: { offset: offset + this.chunk.offset, line: line + this.chunk.line },
      done: this.ended && this.chunk.exhausted,
    }
  }

  private async goTo(position: Position): Promise<void> {
    const within = position.offset - this.start.offset
    if (this.bytes !== undefined) {
      if (within === this.chunk.offset || (position.offset === 0 && this.start.line + this.chunk.line === 0)) return
      if (within >= 0 && within <= this.chunk.length) return this.chunk.seek(within, position.line - this.start.line)
    }
    await this.reopen(position)
  }

  private async reopen(position: Position): Promise<void> {
    if (this.path === STDIN) {
      if (this.bytes !== undefined || position.offset > 0)
        throw new ConnectorError("standard input can't be read again from where a run stopped: put the records into a file")
      return this.begin(stdinBytes(), START)
    }
    await this.close()
    const file = await open(this.path)
    const gzip = await isGzip(file).catch(error => file.close().then(() => Promise.reject(error)))
    if (!gzip) {
      await refuseStub(file, this.path).catch(error => file.close().then(() => Promise.reject(error)))
      await checkPosition(file, position, this.path)
      return this.begin(plainBytes(file, position.offset), position)
    }
    await file.close()
    this.begin(await gzipBytes(this.path), START)
    await this.discard(position)
  }

  private begin(bytes: ByteReader, start: Position): void {
    this.bytes = bytes
    this.start = start
    this.chunk = new LineChunk(Buffer.alloc(0))
    this.rest = []
    this.restBytes = 0
    this.ended = false
    this.readAhead()
  }

  private readAhead(): void {
    this.ahead = this.bytes!.next()
    // Whoever awaits it sees the error; until then it must not count as unhandled.
    this.ahead.catch(() => {})
  }

  /** Unpacks up to `position` and throws that away. */
  private async discard(position: Position): Promise<void> {
    while (this.start.offset + this.chunk.length < position.offset) {
      if (this.ended) throw shorter(this.path, position, this.start.offset + this.chunk.length)
      this.chunk.seek(this.chunk.length, 0)
      await this.advance()
    }
    this.start = { offset: this.start.offset, line: 0 }
    this.chunk.seek(position.offset - this.start.offset, position.line)
  }

  /** Makes the next whole lines the chunk. False: nothing came in time (standard input only). */
  private async advance(): Promise<boolean> {
    for (;;) {
      const next = this.path === STDIN ? await inTime(this.ahead!) : await this.ahead!
      if (next === 'late') return false
      if (next === undefined) {
        this.ended = true
        this.replace(Buffer.concat(this.rest, this.restBytes))
        this.rest = []
        this.restBytes = 0
        return true
      }
      this.readAhead()
      const end = next.lastIndexOf(10) + 1
      const whole = end === 0 ? undefined : this.behindRest(next.subarray(0, end))
      this.keepRest(next.subarray(end), whole !== undefined)
      if (whole !== undefined) {
        this.replace(whole)
        return true
      }
    }
  }

  /** With the beginning of its first line, which is written in front of it where there is room. */
  private behindRest(bytes: Buffer): Buffer {
    const { rest, restBytes } = this
    if (restBytes === 0) return bytes
    if (restBytes > this.bytes!.room) return Buffer.concat([...rest, bytes], restBytes + bytes.length)
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset - restBytes, restBytes + bytes.length)
    let at = 0
    for (const part of rest) at += part.copy(whole, at)
    return whole
  }

  private keepRest(bytes: Buffer, fresh: boolean): void {
    if (fresh) {
      this.rest = []
      this.restBytes = 0
    }
    // Its chunk is read over.
    this.rest.push(Buffer.from(bytes))
    this.restBytes += bytes.length
    if (this.restBytes > LINE_BYTES_MAX)
      throw new ConnectorError(
        `${this.name} has a line of more than ${LINE_BYTES_MAX >> 20} MiB: is it NDJSON, with one record a line?`,
      )
  }

  private replace(bytes: Buffer): void {
    this.start = { offset: this.start.offset + this.chunk.length, line: this.start.line + this.chunk.line }
    this.chunk = new LineChunk(bytes)
    if (this.start.offset === 0 && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) this.chunk.seek(3, 0)
  }
}

function inTime(read: Promise<Buffer | undefined>): Promise<Buffer | undefined | 'late'> {
  return Promise.race([read, sleep(STDIN_WAIT_MS, 'late' as const, { ref: true })])
}

/** The file has to be the one that the position was taken from, as far as that is cheap to see. */
async function checkPosition(file: FileHandle, position: Position, path: string): Promise<void> {
  if (position.offset === 0) return
  try {
    const { size } = await file.stat()
    if (size < position.offset) throw shorter(path, position, size)
    const before = Buffer.alloc(1)
    await file.read(before, 0, 1, position.offset - 1)
    if (before[0] !== 10 && size > position.offset)
      throw new ConnectorError(
        `${path} was changed: byte ${position.offset}, where this run goes on, is no longer the start of a line. Give it the same file`,
      )
  } catch (error) {
    await file.close()
    throw error
  }
}

function shorter(path: string, position: Position, size: number): ConnectorError {
  return new ConnectorError(
    `${path} was changed: this run goes on at byte ${position.offset} (line ${position.line + 1}), but it has only ${size}. Give it the same file`,
  )
}
