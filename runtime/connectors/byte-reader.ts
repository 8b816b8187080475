import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { gunzipped } from './gunzip.ts'

/** Bytes of one input, chunk by chunk; undefined at its end. A chunk belongs to whoever got it. */
export interface ByteReader {
  next(): Promise<Buffer | undefined>
  close(): Promise<void>
}

const CHUNK_BYTES = 1 << 20

/** True if the file begins like gzip, whatever it is called. */
export async function isGzip(file: FileHandle): Promise<boolean> {
  const head = Buffer.alloc(2)
  const { bytesRead } = await file.read(head, 0, 2, 0)
  return bytesRead === 2 && startsLikeGzip(head)
}

/** A plain file from `offset` on. */
export function plainBytes(file: FileHandle, offset: number): ByteReader {
  let position = offset
  return {
    async next() {
      const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position)
      position += bytesRead
      return bytesRead === 0 ? undefined : chunk.subarray(0, bytesRead)
    },
    close: () => file.close(),
  }
}

/** What a gzip file holds (all its members), from the start. */
export async function gzipBytes(path: string): Promise<ByteReader> {
  const file = await open(path)
  return streamBytes(createReadStream('', { fd: file, highWaterMark: CHUNK_BYTES / 4 }), true)
}

/** Standard input, unpacked if it is gzip. */
export function stdinBytes(): ByteReader {
  let bytes: ByteReader | undefined
  return {
    async next() {
      if (bytes === undefined) {
        const first = await firstChunk(process.stdin)
        if (first === undefined) return undefined
        process.stdin.unshift(first)
        bytes = streamBytes(process.stdin, startsLikeGzip(first))
      }
      return bytes.next()
    },
    async close() {
      await bytes?.close()
      process.stdin.destroy()
    },
  }
}

function streamBytes(source: Readable, gzip: boolean): ByteReader {
  const chunks: AsyncIterator<Buffer> = gzip ? gunzipped(source, CHUNK_BYTES) : source[Symbol.asyncIterator]()
  return {
    async next() {
      const { value, done } = await chunks.next()
      return done ? undefined : value
    },
    async close() {
      source.destroy()
    },
  }
}

function startsLikeGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b
}

async function firstChunk(stream: Readable): Promise<Buffer | undefined> {
  const ended = new Promise<undefined>((resolve, reject) => {
    stream.once('end', () => resolve(undefined)).once('error', reject)
  })
  for (;;) {
    const chunk: Buffer | null = stream.read()
    if (chunk !== null) return chunk
    if (stream.readableEnded) return undefined
    const readable = new Promise<true>(resolve => stream.once('readable', () => resolve(true)))
    if ((await Promise.race([readable, ended])) === undefined) return undefined
  }
}
