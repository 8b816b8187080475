import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { gunzipped } from './gunzip.ts'

/** Bytes of one input, chunk by chunk. */
export interface ByteReader {
  /** Undefined at the end. A chunk belongs to whoever got it, until the next but one is asked for. */
  next(): Promise<Buffer | undefined>
  /** Bytes in front of each chunk, in its buffer, that are free to be written. */
  readonly room: number
  close(): Promise<void>
}

const CHUNK_BYTES = 2 << 20
/** For the beginning of a line that the chunk before has. */
const ROOM_BYTES = 64 << 10

/** True if the file begins like gzip, whatever it is called. */
export async function isGzip(file: FileHandle): Promise<boolean> {
  const head = Buffer.alloc(2)
  const { bytesRead } = await file.read(head, 0, 2, 0)
  return bytesRead === 2 && startsLikeGzip(head)
}

/** A plain file from `offset` on. */
export function plainBytes(file: FileHandle, offset: number): ByteReader {
  let position = offset
  // Used again: the kernel has to clear each page of a new one.
  const buffers: Buffer[] = []
  let turn = 0
  return {
    room: ROOM_BYTES,
    async next() {
      turn = 1 - turn
      buffers[turn] ??= Buffer.allocUnsafeSlow(ROOM_BYTES + CHUNK_BYTES)
      const buffer = buffers[turn]!
      const { bytesRead } = await file.read(buffer, ROOM_BYTES, CHUNK_BYTES, position)
      position += bytesRead
      return bytesRead === 0 ? undefined : buffer.subarray(ROOM_BYTES, ROOM_BYTES + bytesRead)
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
    room: 0,
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
    room: 0,
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
