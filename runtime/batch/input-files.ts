import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConnectorError, fileReason } from '../connectors/error.ts'

/** Bytes that are read at a time where a file is read from start to end. */
export const CHUNK_BYTES = 1 << 20

/** A file as it was when it was listed. Plain data. */
export interface FileRef {
  /** For people too: of an object `s3://bucket/key`. */
  readonly path: string
  /** Of an object of S3: which state of it, and its bytes. It is read as it was listed, or not at all. */
  readonly object?: { readonly etag: string; readonly size: number }
}

/** One that is open. */
export interface InputFile {
  /** Bytes. */
  readonly size: number
  /** The bytes with from <= place < to, as many of them as there are. */
  read(from: number, to: number): Promise<Uint8Array>
  /** The same, a chunk at a time. */
  chunks(from: number, to: number): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/** Where a bounded run reads its files. */
export interface InputFiles {
  /**
   * All files below a directory, or the one that is named, in order of their paths. What begins with a dot or an underscore is none of them (`_staging/`, `_SUCCESS`).
   * @throws ConnectorError when there is no such place
   */
  list(place: string): Promise<FileRef[]>
  /** @throws ConnectorError when it can't be read */
  open(file: FileRef): Promise<InputFile>
}

/** On this machine. */
export const localFiles: InputFiles = {
  async list(place) {
    const stats = await stat(place).catch(error => unreadable(place, error))
    if (!stats.isDirectory()) return [{ path: place }]
    const found = await readdir(place, { recursive: true, withFileTypes: true })
    return found
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name))
      .filter(path => !isHidden(path.slice(place.length)))
      .sort()
      .map(path => ({ path }))
  },
  async open({ path }) {
    const file = await open(path).catch(error => unreadable(path, error))
    const { size } = await file.stat()
    const read = async (from: number, to: number) => {
      const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(to, size) - from))
      const { bytesRead } = await file.read(bytes, 0, bytes.length, from)
      return bytes.subarray(0, bytesRead)
    }
    return { size, read, chunks: (from, to) => chunks(path, read, from, to), close: () => file.close() }
  },
}

async function* chunks(path: string, read: InputFile['read'], from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let position = from; position < to; ) {
    const bytes = await read(position, Math.min(position + CHUNK_BYTES, to))
    if (bytes.length === 0) throw new ConnectorError(`${path} has become shorter while it was read`)
    position += bytes.length
    yield bytes
  }
}

/** Whether a place is one of S3, and not of this machine. */
export function isS3(place: string): boolean {
  return place.startsWith('s3://')
}

/** Whether a file, or a folder that it is in, has a name that is passed over. */
export function isHidden(path: string): boolean {
  return path.split('/').some(name => name.startsWith('.') || name.startsWith('_'))
}

function unreadable(path: string, error: unknown): never {
  throw new ConnectorError(`${path} can't be read: ${fileReason(error)}`, { cause: error })
}
