import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet'
import { ConnectorError, reasonOf } from '../connectors/error.ts'
import type { SplitReader } from '../connectors/source.ts'
import type { FileRef, InputFile, InputFiles } from './input-files.ts'
import type { Piece } from './pieces.ts'
import { rowBatch, rowText } from './row-text.ts'

/** Rows that become one batch. */
const BATCH_ROWS = 10_000

/** Beside snappy and none, which hyparquet has itself. */
const COMPRESSORS: Compressors = {
  GZIP: input => gunzipSync(input),
  ZSTD: input => zstdDecompressSync(input),
  BROTLI: input => brotliDecompressSync(input),
}

/** The row groups of a Parquet file, each a piece: they are read in parallel, and each has to fit in memory. */
export async function parquetPieces(ref: FileRef, file: InputFile): Promise<Piece[]> {
  const metadata = await metadataOf(ref.path, file)
  let from = 0
  return metadata.row_groups.flatMap(group => {
    const rows = { from, to: from + Number(group.num_rows) }
    from = rows.to
    const bytes = Number(group.total_compressed_size ?? group.total_byte_size)
    return rows.to === rows.from ? [] : [{ ...ref, rows, bytes }]
  })
}

/** Reads the rows of a piece, each as the JSON text of an object by column. */
export function openParquet(piece: Piece, onRead: (bytes: number) => void, files: Pick<InputFiles, 'open'>): SplitReader {
  const { path, rows, bytes } = piece
  let texts: string[] | undefined
  let next = 0
  const load = async () => {
    const { parquetReadObjects } = await import('hyparquet')
    const file = await files.open(piece)
    try {
      const metadata = await metadataOf(path, file)
      const range = { rowStart: rows!.from, rowEnd: rows!.to }
      const objects = await parquetReadObjects({ file: bufferOf(file), metadata, compressors: COMPRESSORS, ...range })
      return objects.map(rowText)
    } catch (error) {
      throw named(path, error)
    } finally {
      await file.close()
    }
  }
  return {
    async read() {
      texts ??= await load()
      const records = texts.slice(next, next + BATCH_ROWS)
      const first = rows!.from + next
      next += records.length
      if (records.length > 0) onRead((bytes * records.length) / texts.length)
      return rowBatch(records, first, next === texts.length)
    },
    async close() {},
  }
}

async function metadataOf(path: string, file: InputFile): Promise<FileMetaData> {
  const { parquetMetadataAsync } = await import('hyparquet')
  try {
    return await parquetMetadataAsync(bufferOf(file))
  } catch (error) {
    throw named(path, error)
  }
}

function named(path: string, error: unknown): ConnectorError {
  if (error instanceof ConnectorError) return error
  return new ConnectorError(`${path} can't be read as Parquet: ${reasonOf(error)}`, { cause: error })
}

function bufferOf(file: InputFile): AsyncBuffer {
  const { size } = file
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = await file.read(start, end)
      if (bytes.length < end - start) throw new ConnectorError('it ends too early')
      // Of these bytes alone, whatever they are a part of.
      return new Uint8Array(bytes).buffer
    },
  }
}
