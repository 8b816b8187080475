import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConnectorError, fileReason } from '../connectors/error.ts'
import { isPacked } from './packed.ts'
import { parquetPieces } from './parquet-reader.ts'

/** A split of a bounded source: a file, a stretch of whole lines of one, or a row group. */
export interface Piece {
  readonly path: string
  /** Stretch of a plain file; absent: all of it. */
  readonly range?: { readonly from: number; readonly to: number }
  /** Rows of a Parquet file, from 0: from <= row < to. */
  readonly rows?: { readonly from: number; readonly to: number }
  /** On disk. */
  readonly bytes: number
}

/** Plain files are cut where they are larger than this, so that one file is read in parallel. */
export const PIECE_BYTES = 64 << 20
const NEWLINE = 10
const LOOK_BYTES = 64 << 10

/** For people, and for dead letters: the file, as a streaming run names its split. */
export function pieceName({ path, range, rows }: Piece): string {
  if (rows !== undefined) return `${path} (rows ${rows.from} to ${rows.to})`
  return range === undefined ? path : `${path} (bytes ${range.from} to ${range.to})`
}

/**
 * All files below a directory, or the one that is named, in order of their paths. What begins with a dot or an underscore is none of them (`_staging/`, `_SUCCESS`).
 * @throws ConnectorError when there is no such place
 */
export async function listFiles(place: string): Promise<string[]> {
  const stats = await stat(place).catch(error => {
    throw new ConnectorError(`${place} can't be read: ${fileReason(error)}`, { cause: error })
  })
  if (!stats.isDirectory()) return [place]
  const found = await readdir(place, { recursive: true, withFileTypes: true })
  return found
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .filter(path => !path.slice(place.length).split('/').some(isHidden))
    .sort()
}

function isHidden(name: string): boolean {
  return name.startsWith('.') || name.startsWith('_')
}

/** Cuts files into pieces of about `pieceBytes`, at ends of lines: only plain text can be cut. Empty files are no pieces. */
export async function cutFiles(paths: readonly string[], pieceBytes = PIECE_BYTES): Promise<Piece[]> {
  const pieces: Piece[] = []
  for (const path of paths) {
    const file = await open(path).catch(error => {
      throw new ConnectorError(`${path} can't be read: ${fileReason(error)}`, { cause: error })
    })
    try {
      const { size } = await file.stat()
      if (size === 0) continue
      if (isParquet(path)) pieces.push(...(await parquetPieces(path)))
      else if (isCsv(path) || size <= pieceBytes || (await isPacked(file))) pieces.push({ path, bytes: size })
      else pieces.push(...(await cut(path, file, size, pieceBytes)))
    } finally {
      await file.close()
    }
  }
  return pieces
}

/** Its rows may have newlines in them, so that it is not cut. */
export function isCsv(path: string): boolean {
  return /\.csv(\.gz|\.zst)?$/i.test(path)
}

export function isParquet(path: string): boolean {
  return /\.parquet$/i.test(path)
}

async function cut(path: string, file: FileHandle, size: number, pieceBytes: number): Promise<Piece[]> {
  const pieces: Piece[] = []
  const count = Math.ceil(size / pieceBytes)
  let from = 0
  for (let i = 1; i <= count && from < size; i++) {
    const to = i === count ? size : await lineEnd(file, Math.max(from, Math.floor((size * i) / count)), size)
    if (to > from) pieces.push({ path, range: { from, to }, bytes: to - from })
    from = to
  }
  return pieces
}

/** Behind the first newline from `at` on. */
async function lineEnd(file: FileHandle, at: number, size: number): Promise<number> {
  const bytes = Buffer.allocUnsafe(LOOK_BYTES)
  for (let position = at; position < size; ) {
    const { bytesRead } = await file.read(bytes, 0, LOOK_BYTES, position)
    if (bytesRead === 0) break
    const newline = bytes.subarray(0, bytesRead).indexOf(NEWLINE)
    if (newline !== -1) return position + newline + 1
    position += bytesRead
  }
  return size
}
