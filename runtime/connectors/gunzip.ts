import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'

/**
 * What gzip holds: all its members. Node stops at a zero byte behind one, as if it were padding, and says nothing of what follows; here anything but zeros is damage.
 * Throws as zlib does (`Z_DATA_ERROR`, `Z_BUF_ERROR`).
 */
export async function* gunzipped(bytes: AsyncIterable<Uint8Array>, chunkSize: number): AsyncGenerator<Buffer> {
  const packed = bytes[Symbol.asyncIterator]()
  let total = 0
  /** Behind the last byte that is not zero. */
  let end = 0
  // Whoever ends it early leaves the rest to be looked at.
  async function* watched(): AsyncGenerator<Uint8Array> {
    for (let next = await packed.next(); !next.done; next = await packed.next()) {
      const zeros = next.value.length - 1 - next.value.findLastIndex(byte => byte !== 0)
      if (zeros < next.value.length) end = total + next.value.length - zeros
      total += next.value.length
      yield next.value
    }
  }
  const gunzip = createGunzip({ chunkSize })
  try {
    // Whoever reads from `gunzip` sees the error.
    pipeline(Readable.from(watched(), { highWaterMark: 1 }), gunzip, () => {})
    yield* gunzip
    for await (const _ of watched());
    if (end > gunzip.bytesWritten)
      throw Object.assign(new Error('zeros behind its end, and then something else'), { code: 'Z_DATA_ERROR' })
  } finally {
    await packed.return?.()
  }
}
