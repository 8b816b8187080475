/** Bytes in order, as many at a time as are asked for. */
interface Source {
  /** The next `n` bytes: fewer at the end. Few: they are copied. */
  take(n: number): Promise<Uint8Array>
  /** The next `n` bytes in pieces; fewer at the end. */
  pass(n: number): AsyncGenerator<Uint8Array>
}

const MAGIC = 0xfd2fb528
/** 16 of them: frames that hold nothing. */
const SKIPPABLE = 0x184d2a5
const RAW_OR_PACKED_MASK = 0b11
const RUN = 1

/**
 * The frames of a zstd stream (RFC 8878, 3.1), one after the other: each is to be read to its end before the next is asked for. Node unpacks one frame, and says nothing of what is behind it; packers
 * that work on several cores, and `cat`, make more. What is no frame is given whole, so that whoever unpacks it says so.
 */
export async function* zstdFrames(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<AsyncIterable<Uint8Array>> {
  const packed = bytes[Symbol.asyncIterator]()
  const source = openSource(packed)
  try {
    for (;;) {
      const magic = await source.take(4)
      if (magic.length === 0) return
      if (magic.length === 4 && uint(magic) >>> 4 === SKIPPABLE) await skip(source)
      else yield magic.length === 4 && uint(magic) === MAGIC ? frame(source, magic) : rest(source, magic)
    }
  } finally {
    await packed.return?.()
  }
}

/** A frame that holds nothing. One that is cut off may have had others behind it. */
async function skip(source: Source): Promise<void> {
  const length = await source.take(4)
  let left = uint(length)
  for await (const piece of source.pass(left)) left -= piece.length
  if (length.length < 4 || left > 0) throw Object.assign(new Error('unexpected end of file'), { code: 'Z_BUF_ERROR' })
}

async function* frame(source: Source, magic: Uint8Array): AsyncGenerator<Uint8Array> {
  yield magic
  const descriptor = await source.take(1)
  yield descriptor
  const flags = descriptor[0] ?? 0
  const isSingleSegment = (flags & 0x20) !== 0
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6]!
  yield await source.take((isSingleSegment ? 0 : 1) + [0, 1, 2, 4][flags & 3]! + contentSizeBytes)
  for (let isLast = false; !isLast; ) {
    const header = await source.take(3)
    if (header.length < 3) return yield header
    yield header
    const block = uint(header)
    isLast = (block & 1) === 1
    yield* source.pass(((block >> 1) & RAW_OR_PACKED_MASK) === RUN ? 1 : block >> 3)
  }
  if ((flags & 4) !== 0) yield await source.take(4)
}

async function* rest(source: Source, before: Uint8Array): AsyncGenerator<Uint8Array> {
  yield before
  yield* source.pass(Number.POSITIVE_INFINITY)
}

/** Of up to four bytes, the lowest first. */
function uint(bytes: Uint8Array): number {
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0)
}

function openSource(packed: AsyncIterator<Uint8Array>): Source {
  let chunk: Uint8Array = new Uint8Array()
  async function* pass(n: number): AsyncGenerator<Uint8Array> {
    for (let left = n; left > 0; ) {
      if (chunk.length === 0) {
        const { value, done } = await packed.next()
        if (done) return
        chunk = value
      }
      const piece = chunk.subarray(0, left)
      chunk = chunk.subarray(piece.length)
      left -= piece.length
      if (piece.length > 0) yield piece
    }
  }
  return {
    pass,
    async take(n) {
      const pieces: Uint8Array[] = []
      for await (const piece of pass(n)) pieces.push(piece)
      return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
    },
  }
}
