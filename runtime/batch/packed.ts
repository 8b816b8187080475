import { packedAs, unpacked } from '../connectors/unpack.ts'
import type { InputFile } from './input-files.ts'

const HEAD_BYTES = 4

/** Told by its first bytes, not by its name. */
export async function isPacked(file: InputFile): Promise<boolean> {
  return packedAs(await file.read(0, HEAD_BYTES)) !== undefined
}

/** What a packed file holds: all members of gzip, all frames of zstd. `onRead`: how many bytes of the file were read. */
export async function* unpackedFile(file: InputFile, onRead: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const packed = counted(file.chunks(0, file.size), onRead)
  const first = await packed.next()
  if (first.done) return
  yield* unpacked(first.value, joined(first.value, packed))
}

/** The chunks of a file, each told as it is read. */
export async function* counted(chunks: AsyncIterable<Uint8Array>, onRead: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    onRead(chunk.length)
    yield chunk
  }
}

async function* joined(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first
  yield* rest
}
