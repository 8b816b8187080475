import { inWindows } from '../connectors/at-once.ts'
import { type FileRef, type InputFile, type InputFiles, localFiles } from './input-files.ts'
import { isPacked } from './packed.ts'
import { parquetPieces } from './parquet-reader.ts'

/** A split of a bounded source: a file, a stretch of whole lines of one, or a row group. */
export interface Piece extends FileRef {
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
const OPEN_AT_ONCE = 16

/** For people, and for dead letters: the file, as a streaming run names its split. */
export function pieceName({ path, range, rows }: Piece): string {
  if (rows !== undefined) return `${path} (rows ${rows.from} to ${rows.to})`
  return range === undefined ? path : `${path} (bytes ${range.from} to ${range.to})`
}

/** Cuts files into pieces of about `pieceBytes`, at ends of lines: only plain text can be cut. Empty files are no pieces. */
export async function cutFiles(
  files: readonly FileRef[],
  pieceBytes = PIECE_BYTES,
  { open }: InputFiles = localFiles,
): Promise<Piece[]> {
  const cutOne = async (ref: FileRef): Promise<Piece[]> => {
    const file = await open(ref)
    try {
      const { size } = file
      if (size === 0) return []
      if (isParquet(ref.path)) return await parquetPieces(ref, file)
      if (isCsv(ref.path) || size <= pieceBytes || (await isPacked(file))) return [{ ...ref, bytes: size }]
      return await cut(ref, file, pieceBytes)
    } finally {
      await file.close()
    }
  }
  return (await Array.fromAsync(inWindows(OPEN_AT_ONCE, files, cutOne))).flat()
}

/** Its rows may have newlines in them, so that it is not cut. */
export function isCsv(path: string): boolean {
  return /\.csv(\.gz|\.zst)?$/i.test(path)
}

export function isParquet(path: string): boolean {
  return /\.parquet$/i.test(path)
}

async function cut(ref: FileRef, file: InputFile, pieceBytes: number): Promise<Piece[]> {
  const { size } = file
  const pieces: Piece[] = []
  const count = Math.ceil(size / pieceBytes)
  let from = 0
  for (let i = 1; i <= count && from < size; i++) {
    const to = i === count ? size : await lineEnd(file, Math.max(from, Math.floor((size * i) / count)), size)
    if (to > from) pieces.push({ ...ref, range: { from, to }, bytes: to - from })
    from = to
  }
  return pieces
}

/** Behind the first newline from `at` on. */
async function lineEnd(file: InputFile, at: number, size: number): Promise<number> {
  for (let position = at; position < size; ) {
    const bytes = await file.read(position, position + LOOK_BYTES)
    if (bytes.length === 0) break
    const newline = bytes.indexOf(NEWLINE)
    if (newline !== -1) return position + newline + 1
    position += bytes.length
  }
  return size
}
