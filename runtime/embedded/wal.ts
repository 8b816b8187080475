import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { endianness } from 'node:os'
import { join } from 'node:path'
import { absent } from './absent.ts'

/** https://sqlite.org/walformat.html: all but the index in bytes of this order, whose magic number says that checksums are of little-endian words. */
const MAGIC = 0x377f0682
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
const INDEX_HEADER_BYTES = 48
const FRAMES_AT_ONCE = 256

/** How far the write-ahead log was committed, as its index says: shared memory, which the death of a process leaves as it was. */
interface Committed {
  readonly frames: number
  readonly pageBytes: number
  readonly checksum: readonly [number, number]
  readonly salt: Buffer
}

/**
 * SQLite takes a write-ahead log for ended where a frame fails its checksum: right after a power loss, which its index does not survive, and going back in silence where a
 * process was killed and the log was damaged since. Whether all frames are there that were committed, for a log that was left in this boot of the machine by one that nobody has read since.
 */
export function isWalWhole(directory: string): boolean {
  const committed = readIndex(join(directory, 'state.db-shm'))
  return committed === undefined || committed.frames === 0 || holds(join(directory, 'state.db-wal'), committed)
}

/** Undefined: there is none, or its process died while it wrote it. */
function readIndex(file: string): Committed | undefined {
  const bytes = readIfThere(file)
  if (bytes === undefined || endianness() !== 'LE' || bytes.length < 2 * INDEX_HEADER_BYTES) return undefined
  const header = Buffer.alloc(INDEX_HEADER_BYTES, bytes)
  if (!header.equals(bytes.subarray(INDEX_HEADER_BYTES, 2 * INDEX_HEADER_BYTES))) return undefined
  const words = wordsOf(header)
  const [s1, s2] = checksum([0, 0], words, 0, 10)
  if (s1 !== words[10] || s2 !== words[11]) return undefined
  return {
    pageBytes: header.readUInt16LE(14),
    frames: words[4]!,
    checksum: [words[6]!, words[7]!],
    salt: header.subarray(32, 40),
  }
}

function holds(file: string, { frames, pageBytes, checksum: expected, salt }: Committed): boolean {
  const fd = openIfThere(file)
  if (fd === undefined) return false
  try {
    const header = Buffer.alloc(HEADER_BYTES)
    if (readSync(fd, header) < HEADER_BYTES || header.readUInt32BE(0) !== MAGIC || !header.subarray(16, 24).equals(salt))
      return false
    let sum = checksum([0, 0], wordsOf(header), 0, 6)
    if (sum[0] !== header.readUInt32BE(24) || sum[1] !== header.readUInt32BE(28)) return false

    const frameBytes = FRAME_HEADER_BYTES + pageBytes
    const chunk = Buffer.alloc(frameBytes * FRAMES_AT_ONCE)
    const words = wordsOf(chunk)
    for (let done = 0; done < frames; done += FRAMES_AT_ONCE) {
      const wanted = Math.min(FRAMES_AT_ONCE, frames - done)
      if (readSync(fd, chunk, 0, wanted * frameBytes, HEADER_BYTES + done * frameBytes) < wanted * frameBytes) return false
      for (let i = 0; i < wanted; i++) {
        const at = (i * frameBytes) / 4
        sum = checksum(sum, words, at, at + 2)
        sum = checksum(sum, words, at + FRAME_HEADER_BYTES / 4, at + frameBytes / 4)
        const frame = i * frameBytes
        if (!chunk.subarray(frame + 8, frame + 16).equals(salt)) return false
        if (sum[0] !== chunk.readUInt32BE(frame + 16) || sum[1] !== chunk.readUInt32BE(frame + 20)) return false
      }
    }
    return sum[0] === expected[0] && sum[1] === expected[1]
  } finally {
    closeSync(fd)
  }
}

type Sum = readonly [number, number]

/** Of the words from <= i < to, going on from `sum`. */
function checksum(sum: Sum, words: Uint32Array, from: number, to: number): Sum {
  let [s1, s2] = sum
  for (let i = from; i < to; i += 2) {
    s1 = (s1 + words[i]! + s2) >>> 0
    s2 = (s2 + words[i + 1]! + s1) >>> 0
  }
  return [s1, s2]
}

/** Of a buffer that `alloc` gave, whose memory is its own: it is aligned. */
function wordsOf({ buffer, byteOffset, length }: Buffer): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length >> 2)
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch (error) {
    return absent(error)
  }
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, 'r')
  } catch (error) {
    return absent(error)
  }
}
