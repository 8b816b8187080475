import { SnapshotError } from './error.ts'
import type { SnapshotItem } from './item.ts'

/*
 * Items as they lie in a segment, before compression (docs/snapshot-format.md). Addresses share their beginnings with the one before, so that only the rest is written.
 */
const WRITTEN = 1
const EXPIRES = 2
const GROUPED = 4

/** Gathers items, one behind the other. */
export class ItemWriter {
  private buffer = Buffer.allocUnsafe(64 * 1024)
  private previous: Buffer = Buffer.alloc(0)
  length = 0
  count = 0

  /** `bytes`: the address in UTF-8. */
  add(bytes: Buffer, { value, expiry, group }: Omit<SnapshotItem, 'address'>): void {
    const shared = sharedBytes(this.previous, bytes)
    this.reserve(40 + bytes.length - shared + (value?.length ?? 0))
    this.varint(shared)
    this.varint(bytes.length - shared)
    this.length += bytes.copy(this.buffer, this.length, shared)
    this.buffer[this.length++] =
      (value === undefined ? 0 : WRITTEN) | (expiry === undefined ? 0 : EXPIRES) | (group === undefined ? 0 : GROUPED)
    if (expiry !== undefined) this.length = this.buffer.writeDoubleLE(expiry, this.length)
    if (group !== undefined) this.varint(group)
    if (value !== undefined) {
      this.varint(value.length)
      this.buffer.set(value, this.length)
      this.length += value.length
    }
    this.previous = bytes
    this.count++
  }

  /** A view of all so far, which holds until the next `add`; the writer is empty again. */
  take(): Uint8Array {
    const taken = this.buffer.subarray(0, this.length)
    this.length = 0
    this.count = 0
    this.previous = Buffer.alloc(0)
    return taken
  }

  private varint(n: number): void {
    this.length = writeVarint(this.buffer, this.length, n)
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + bytes))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}

/** @throws SnapshotError when they are not `count` items; `name` says which segment it is */
export function* readItems(bytes: Uint8Array, count: number, name: string): Generator<SnapshotItem> {
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const reader = new ByteReader(raw, `segment ${name} is damaged: its items don't add up`)
  let address = Buffer.alloc(0)
  for (let i = 0; i < count; i++) {
    const shared = reader.varint()
    if (shared > address.length) throw reader.damaged()
    address = Buffer.concat([address.subarray(0, shared), reader.take(reader.varint())])
    const flags = reader.take(1)[0]!
    const expiry = flags & EXPIRES ? reader.take(8).readDoubleLE(0) : undefined
    const group = flags & GROUPED ? reader.varint() : undefined
    const value = flags & WRITTEN ? reader.take(reader.varint()) : undefined
    const text = address.toString()
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
      const byte = this.bytes[this.at++]
      if (byte === undefined) throw this.damaged()
      n += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return n
    }
    throw this.damaged()
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

function sharedBytes(a: Buffer, b: Buffer): number {
  const end = Math.min(a.length, b.length)
  let n = 0
  while (n < end && a[n] === b[n]) n++
  return n
}
