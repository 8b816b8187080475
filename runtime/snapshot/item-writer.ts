import type { SnapshotItem } from './item.ts'
import { EXPIRES, GROUPED, WRITTEN, writeVarint } from './items.ts'

/** Gathers items, one behind the other, as items.ts reads them. */
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

function sharedBytes(a: Buffer, b: Buffer): number {
  const end = Math.min(a.length, b.length)
  let n = 0
  while (n < end && a[n] === b[n]) n++
  return n
}
