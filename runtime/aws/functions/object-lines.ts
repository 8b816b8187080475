import { unpacked } from '../../connectors/unpack.ts'
import { type ObjectRef, type Objects, UnreadableObjectError } from '../objects.ts'

/** Bytes of one request: one is in memory, and the next one on its way. */
const RANGE_BYTES = 4 << 20
/** A longer line is not read: it has to fit in memory, several times. */
export const LINE_BYTES_MAX = 16 << 20
const NEWLINE = 10

/** Whole lines. Only the last one of an object may lack its newline. */
export interface WholeLines {
  readonly bytes: Buffer
  /** Nothing is behind them. */
  readonly isLast: boolean
}

/**
 * The lines of an object from byte `offset` of its content on, which has to be the start of one. Of a packed object all before it is unpacked again. The first request is under way at once.
 * At its end come lines that are the last, perhaps none; instead of them, after all that could be read, may come an
 * @throws UnreadableObjectError
 */
export function openLines(objects: Objects, object: ObjectRef, offset: number): AsyncGenerator<WholeLines> {
  // At the place itself, which is right unless the object is packed.
  const first = request(objects, object, offset)
  first.catch(() => {})
  return wholeLines(content(objects, object, offset, first))
}

const MAGIC_BYTES = 4

async function* content(
  objects: Objects,
  object: ObjectRef,
  offset: number,
  first: Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const start = await (offset === 0 ? first : objects.read(object, 0, Math.min(MAGIC_BYTES, object.size)))
  const packed = ranges(objects, object, 0, offset === 0 ? first : undefined)
  const bytes = unpacked(start, packed)
  if (bytes === packed) yield* offset === 0 ? packed : ranges(objects, object, offset, first)
  else yield* behind(bytes, offset)
}

/** Lazy: nothing is asked for before somebody wants it. */
async function* ranges(
  objects: Objects,
  object: ObjectRef,
  from: number,
  first: Promise<Uint8Array> | undefined,
): AsyncGenerator<Uint8Array> {
  let next = first ?? request(objects, object, from)
  for (let at = from; at < object.size; ) {
    const bytes = await next
    at += bytes.length
    if (at < object.size) {
      next = request(objects, object, at)
      next.catch(() => {})
    }
    yield bytes
  }
}

async function request(objects: Objects, object: ObjectRef, from: number): Promise<Uint8Array> {
  const to = Math.min(from + RANGE_BYTES, object.size)
  return from >= to ? new Uint8Array() : objects.read(object, from, to)
}

async function* behind(bytes: AsyncIterable<Uint8Array>, offset: number): AsyncGenerator<Uint8Array> {
  let left = offset
  for await (const piece of bytes) {
    if (piece.length > left) yield piece.subarray(left)
    left = Math.max(0, left - piece.length)
  }
}

async function* wholeLines(content: AsyncIterable<Uint8Array>): AsyncGenerator<WholeLines> {
  // Held back until it is known whether they are the last.
  let whole: Buffer | undefined
  let rest: Uint8Array[] = []
  let restBytes = 0
  try {
    for await (const piece of content) {
      const first = piece.indexOf(NEWLINE)
      if (restBytes + (first === -1 ? piece.length : first) > LINE_BYTES_MAX)
        throw new UnreadableObjectError(`it has a line of more than ${LINE_BYTES_MAX >> 20} MiB: is it NDJSON?`)
      const end = piece.lastIndexOf(NEWLINE) + 1
      if (end > 0) {
        if (whole !== undefined) yield { bytes: whole, isLast: false }
        whole = Buffer.concat([...rest, piece.subarray(0, end)])
        rest = []
        restBytes = 0
      }
      if (end < piece.length) rest.push(piece.subarray(end))
      restBytes += piece.length - end
    }
  } catch (error) {
    if (error instanceof UnreadableObjectError && whole !== undefined) yield { bytes: whole, isLast: false }
    throw error
  }
  if (rest.length === 0) return yield { bytes: whole ?? Buffer.alloc(0), isLast: true }
  if (whole !== undefined) yield { bytes: whole, isLast: false }
  yield { bytes: Buffer.concat(rest), isLast: true }
}
