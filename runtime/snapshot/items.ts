import { SnapshotError } from './error.ts'
import type { SnapshotItem } from './item.ts'

/*
 * Items as they lie in a segment, before compression (docs/snapshot-format.md). Addresses share their beginnings with the one before, so that only the rest is written.
 */
export const WRITTEN = 1
export const EXPIRES = 2
export const GROUPED = 4

/** @throws SnapshotError when they are not `count` items; `name` says which segment it is */
export function* readItems(bytes: Uint8Array, count: number, name: string): Generator<SnapshotItem> {
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const reader = new ByteReader(raw, `segment ${name} is damaged: its items don't add up`)
  let address = Buffer.allocUnsafe(256)
  let length = 0
  for (let i = 0; i < count; i++) {
    const shared = reader.varint()
    if (shared > length) throw reader.damaged()
    const rest = reader.take(reader.varint())
    length = shared + rest.length
    if (length > address.length) address = Buffer.concat([address.subarray(0, shared)], 2 * length)
    rest.copy(address, shared)
    const flags = reader.byte()
    const expiry = flags & EXPIRES ? reader.take(8).readDoubleLE(0) : undefined
    const group = flags & GROUPED ? reader.varint() : undefined
    const value = flags & WRITTEN ? reader.take(reader.varint()) : undefined
    const text = address.toString('utf8', 0, length)
    if (group !== undefined) yield { address: text, value, ...(expiry !== undefined && { expiry }), group }
    else yield expiry === undefined ? { address: text, value } : { address: text, value, expiry }
  }
  reader.end()
}

/** Reads forward, and says `problem` where the bytes are not what they should be. */
export class ByteReader {
  private readonly bytes: Buffer
  private readonly problem: string
  private at = 0

  constructor(bytes: Buffer, problem: string) {
    this.bytes = bytes
    this.problem = problem
  }

  varint(): number {
    let n = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      n += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return n
    }
    throw this.damaged()
  }

  byte(): number {
    const byte = this.bytes[this.at++]
    if (byte === undefined) throw this.damaged()
    return byte
  }

  take(n: number): Buffer {
    if (n > this.bytes.length - this.at) throw this.damaged()
    this.at += n
    return this.bytes.subarray(this.at - n, this.at)
  }

  end(): void {
    if (this.at !== this.bytes.length) throw this.damaged()
  }

  damaged(): SnapshotError {
    return new SnapshotError(this.problem)
  }
}

/** Gives the place behind it. */
export function writeVarint(to: Buffer, at: number, n: number): number {
  let [end, rest] = [at, n]
  while (rest > 0x7f) {
    to[end++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  to[end++] = rest
  return end
}
