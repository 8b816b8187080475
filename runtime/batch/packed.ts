import { createReadStream } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { unpacked } from '../connectors/unpack.ts'

const GZIP = [0x1f, 0x8b]
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd]
const HEAD_BYTES = 4

/** Told by its first bytes, not by its name. */
export async function isPacked(file: FileHandle): Promise<boolean> {
  const head = Buffer.alloc(HEAD_BYTES)
  await file.read(head, 0, HEAD_BYTES, 0)
  return [GZIP, ZSTD].some(magic => magic.every((byte, i) => head[i] === byte))
}

/** What a packed file holds: all members of gzip, all frames of zstd. `onRead`: how many bytes of the file were read. */
export async function* unpackedFile(path: string, onRead: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const stream = createReadStream(path, { highWaterMark: 1 << 20 })
  const packed = counted(stream, onRead)
  const first = await packed.next()
  if (first.done) return
  yield* unpacked(first.value, joined(first.value, packed))
}

async function* counted(stream: AsyncIterable<Buffer>, onRead: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of stream) {
    onRead(chunk.length)
    yield chunk
  }
}

async function* joined(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first
  yield* rest
}
