import { type FileHandle, open } from 'node:fs/promises'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet'
import { ConnectorError, reasonOf } from '../connectors/error.ts'
import type { SplitReader } from '../connectors/source.ts'
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
export async function parquetPieces(path: string): Promise<Piece[]> {
  const file = await open(path)
  try {
    const metadata = await metadataOf(path, file)
    let from = 0
    return metadata.row_groups.flatMap(group => {
      const rows = { from, to: from + Number(group.num_rows) }
      from = rows.to
      return rows.to === rows.from ? [] : [{ path, rows, bytes: Number(group.total_compressed_size ?? group.total_byte_size) }]
    })
  } finally {
    await file.close()
  }
}

/** Reads the rows of a piece, each as the JSON text of an object by column. */
export function openParquet({ path, rows, bytes }: Piece, onRead: (bytes: number) => void): SplitReader {
  let texts: string[] | undefined
  let next = 0
  const load = async () => {
    const { parquetReadObjects } = await import('hyparquet')
    const file = await open(path)
    try {
      const metadata = await metadataOf(path, file)
      const range = { rowStart: rows!.from, rowEnd: rows!.to }
      const objects = await parquetReadObjects({ file: await bufferOf(file), metadata, compressors: COMPRESSORS, ...range })
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

async function metadataOf(path: string, file: FileHandle): Promise<FileMetaData> {
  const { parquetMetadataAsync } = await import('hyparquet')
  try {
    return await parquetMetadataAsync(await bufferOf(file))
  } catch (error) {
    throw named(path, error)
  }
}

function named(path: string, error: unknown): ConnectorError {
  if (error instanceof ConnectorError) return error
  return new ConnectorError(`${path} can't be read as Parquet: ${reasonOf(error)}`, { cause: error })
}

async function bufferOf(file: FileHandle): Promise<AsyncBuffer> {
  const { size } = await file.stat()
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(end - start)
      const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
      if (bytesRead < bytes.length) throw new ConnectorError('it ends too early')
      return bytes.buffer
    },
  }
}
