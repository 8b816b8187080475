import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { isGzip } from './byte-reader.ts'
import { fileReason } from './error.ts'

/** How a file differs from when it was read to its end, at byte `offset` of its content; undefined: as far as its size tells, it does not. */
export async function changedSince(path: string, offset: number): Promise<string | undefined> {
  try {
    const bytes = await contentBytes(path, offset)
    if (bytes === offset) return undefined
    const unit = (n: number) => `${n.toLocaleString('en-US')} byte${n === 1 ? '' : 's'}`
    return bytes > offset ? `it has ${unit(bytes - offset)} more` : `it has become ${unit(offset - bytes)} shorter`
  } catch (error) {
    return `it can't be read any more: ${fileReason(error)}`
  }
}

/** `expected` is what a gzip file's own note of its size may confirm, which saves unpacking it. */
async function contentBytes(path: string, expected: number): Promise<number> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (!(await isGzip(file))) return size
    if ((await notedSize(file, size)) === expected % 2 ** 32) return expected
  } finally {
    await file.close()
  }
  let bytes = 0
  const source = createReadStream(path)
  const gunzip = createGunzip()
  source.on('error', error => gunzip.destroy(error)).pipe(gunzip)
  for await (const chunk of gunzip as AsyncIterable<Buffer>) bytes += chunk.length
  return bytes
}

/** The size of the content of the last member, modulo 2^32: a gzip file ends with it. */
async function notedSize(file: FileHandle, size: number): Promise<number | undefined> {
  if (size < 4) return undefined
  const end = Buffer.alloc(4)
  await file.read(end, 0, 4, size - 4)
  return end.readUInt32LE()
}
