import { ConnectorError, fileReason } from '../connectors/error.ts'
import { JsonShapes } from '../connectors/json-shapes.ts'
import { LineChunk, type Lines } from '../connectors/line-chunk.ts'
import type { SourceBatch, SourcePosition, SplitReader } from '../connectors/source.ts'
import { UnreadableObjectError } from '../connectors/unreadable-object.ts'
import { type InputFiles, localFiles } from './input-files.ts'
import { lastObjectEnd, objectsOf, SEAM } from './json-objects.ts'
import { counted, isPacked, unpackedFile } from './packed.ts'
import { openParquet } from './parquet-reader.ts'
import { isCsv, isParquet, type Piece } from './pieces.ts'

/** Content that becomes one batch, about: a batch is a commit of the task. */
const BATCH_BYTES = 1 << 20
const LINE_BYTES_MAX = 64 << 20
const NEWLINE = 10
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** Reads a piece once, from its start to its end: a task that dies begins anew. `onRead`: bytes of the file that have been read. */
export async function openPiece(
  piece: Piece,
  onRead: (bytes: number) => void,
  files: Pick<InputFiles, 'open'> = localFiles,
): Promise<SplitReader> {
  if (isParquet(piece.path)) return openParquet(piece, onRead, files)
  const content = contentOf(piece, onRead, files)
  // Loaded where it is needed: most pipelines have no CSV.
  if (isCsv(piece.path)) return (await import('./csv-reader.ts')).openCsv(piece.path, content)
  return openLines(piece, content)
}

function openLines(piece: Piece, content: AsyncIterable<Uint8Array>): SplitReader {
  const chunks = wholeLines(content, piece.path)
  const shapes = new JsonShapes()
  let offset = piece.range?.from ?? 0
  let line = 0
  /** Read ahead by one: who reads the last lines knows that they are. */
  let ahead: Promise<IteratorResult<Buffer>> | undefined
  const next = () => {
    const result = ahead ?? chunks.next()
    ahead = undefined
    return result
  }
  return {
    async read() {
      const { value, done } = await named(piece, next)
      if (done) return { records: [], after: () => ({}), next: { offset, line }, done: true }
      ahead = chunks.next()
      ahead.catch(() => {}) // told when it is awaited
      const chunk = new LineChunk(value)
      if (offset === 0 && value.subarray(0, 3).equals(BYTE_ORDER_MARK)) chunk.seek(3, 0)
      const taken = chunk.take(Number.POSITIVE_INFINITY)
      const lines = value.includes(SEAM) ? oneByOne(taken) : taken
      const start = { offset, line }
      offset += chunk.offset
      line += chunk.line
      const json = (i: number) => shapes.parse(lines.records[i] as string, value, lines.starts[i]!)
      return {
        ...batch(lines, start, { offset, line }, piece.range === undefined),
        json: chunk.ascii && lines === taken ? json : undefined,
      }
    },
    async close() {
      await ahead?.catch(() => {})
      await chunks.return(undefined)
    },
  }
}

/** Lines that hold several objects, object by object: each lies where its line does. */
function oneByOne(lines: Lines): Lines {
  const found: Lines = { records: [], starts: [], ends: [], counts: [] }
  for (const [i, line] of lines.records.entries()) {
    for (const record of typeof line === 'string' && line.includes(SEAM) ? objectsOf(line) : [line]) {
      found.records.push(record)
      found.starts.push(lines.starts[i]!)
      found.ends.push(lines.ends[i]!)
      found.counts.push(lines.counts[i]!)
    }
  }
  return found
}

type Place = { readonly offset: number; readonly line: number }

/** In the middle of a file nobody knows the number of a line. */
function batch(lines: Lines, start: Place, next: Place, countsLines: boolean): SourceBatch {
  return {
    records: lines.records,
    after: (i): SourcePosition => {
      const offset = start.offset + lines.ends[i]!
      return countsLines ? { offset, line: start.line + lines.counts[i]! } : { offset }
    },
    next,
    done: false,
  }
}

async function named<T>({ path }: Piece, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ConnectorError) throw error
    const reason = error instanceof UnreadableObjectError ? error.message : fileReason(error)
    throw new ConnectorError(`${path} can't be read to its end: ${reason}`, { cause: error })
  }
}

async function* contentOf(
  piece: Piece,
  onRead: (bytes: number) => void,
  { open }: Pick<InputFiles, 'open'>,
): AsyncGenerator<Uint8Array> {
  const { range } = piece
  const file = await open(piece)
  try {
    if (range === undefined && (await isPacked(file))) yield* unpackedFile(file, onRead)
    else yield* counted(file.chunks(range?.from ?? 0, range?.to ?? file.size), onRead)
  } finally {
    await file.close()
  }
}

/** At least BATCH_BYTES at a time, but for the last. A line may be as long as it likes if it consists of objects. */
async function* wholeLines(content: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Buffer, undefined> {
  let parts: Uint8Array[] = []
  let size = 0
  for await (const part of content) {
    parts.push(part)
    size += part.length
    if (size < BATCH_BYTES) continue
    const end = part.lastIndexOf(NEWLINE) + 1
    if (end === 0) {
      const whole = Buffer.concat(parts)
      const objects = lastObjectEnd(whole)
      if (objects > 0) yield whole.subarray(0, objects)
      parts = [whole.subarray(objects)]
      size = whole.length - objects
      if (size > LINE_BYTES_MAX)
        throw new ConnectorError(
          `${path} has a line of more than ${LINE_BYTES_MAX >> 20} MiB: is it NDJSON, with one record a line?`,
        )
      continue
    }
    const rest = part.subarray(end)
    parts[parts.length - 1] = part.subarray(0, end)
    yield parts.length === 1 ? asBuffer(parts[0]!) : Buffer.concat(parts)
    parts = rest.length === 0 ? [] : [rest]
    size = rest.length
  }
  if (size > 0) yield Buffer.concat(parts)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
