import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { UnreadableObjectError } from '../../runtime/aws/objects.ts'
import { unpacked } from '../../runtime/connectors/unpack.ts'

async function* cut(bytes: Uint8Array, size: number) {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size)
}

async function unpack(bytes: Uint8Array, size = 1 << 20): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of unpacked(bytes.subarray(0, 4), cut(bytes, size))) pieces.push(piece)
  return Buffer.concat(pieces)
}

const skippable = Buffer.from('502a4d180400000001020304', 'hex')

/** Frames with and without checksum, with blocks of all kinds. */
function zstd(content: Buffer, checksum: boolean): Buffer {
  return zstdCompressSync(content, { params: { [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0 } })
}

describe('what packed objects hold', () => {
  test('of all members, and of all frames, however the bytes come', async () => {
    const part = fc.record({
      content: fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(400_000).map(n => Buffer.alloc(n, 'a')),
        fc.nat(200_000).map(n => Buffer.from(Array.from({ length: n }, (_, i) => (i * i * 7919) >> 5))),
      ),
      checksum: fc.boolean(),
      skips: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 5_000 }),
        async (parts, size) => {
          const content = Buffer.concat(parts.map(p => p.content))
          const frames = parts.flatMap(p => [zstd(Buffer.from(p.content), p.checksum), ...(p.skips ? [skippable] : [])])
          assert.ok((await unpack(Buffer.concat(frames), size)).equals(content))
          assert.ok((await unpack(Buffer.concat(parts.map(p => gzipSync(p.content))), size)).equals(content))
        },
      ),
      { numRuns: 30 },
    )
  })

  test('begins with a frame that holds nothing, as pzstd writes it', async () => {
    assert.equal(String(await unpack(Buffer.concat([skippable, zstd(Buffer.from('it'), true)]))), 'it')
  })

  test('is an error where a frame that holds nothing is longer than the rest, or something is behind padding', async () => {
    const long = Buffer.from(skippable)
    long[4] = 200
    for (const [bytes, said] of [
      [Buffer.concat([long, zstd(Buffer.from('it'), true)]), /^its zstd was cut off/],
      [Buffer.concat([zstd(Buffer.from('it'), true), skippable.subarray(0, 6)]), /^its zstd was cut off/],
      [Buffer.concat([gzipSync('it'), Buffer.alloc(9), gzipSync('that')]), /^its gzip is damaged/],
    ] as const)
      for (const size of [1, 5_000]) await assert.rejects(unpack(bytes, size), { name: 'UnreadableObjectError', message: said })
  })

  test('is left as it is if it is not packed, whatever it begins with', async () => {
    for (const plain of ['', '{', '[1]', '\u001f']) assert.equal(String(await unpack(Buffer.from(plain))), plain)
  })

  test('is an error where it ends too early or is damaged', async () => {
    const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => `${(i * 7919) % 1013}\n`).join(''))
    const damaged = (bytes: Buffer) => Buffer.from(bytes).fill(7, bytes.length - 100, bytes.length - 60)
    for (const [bytes, said] of [
      [gzipSync(content).subarray(0, -3), /^its gzip was cut off/],
      [damaged(gzipSync(content)), /^its gzip is damaged/],
      [zstd(content, true).subarray(0, -3), /^its zstd was cut off/],
      [zstd(content, false).subarray(0, 6), /^its zstd was cut off/],
      [damaged(zstd(content, true)), /^its zstd is damaged/],
      [Buffer.concat([zstd(content, true), Buffer.from('{}\n')]), /^its zstd is damaged/],
    ] as const)
      await assert.rejects(unpack(bytes), (error: Error) => error instanceof UnreadableObjectError && said.test(error.message))
  })
})
