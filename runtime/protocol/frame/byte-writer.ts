import { RAW_BYTES_MAX } from './limits.ts'

/** Maps ..., -2, -1, 0, 1, 2 ... to 3, 1, 0, 2, 4. Exact for |value| < 2^52. */
export function zigzag(value: number): number {
  return value >= 0 ? value * 2 : value * -2 - 1
}

export const VARINT_BYTES_MAX = 8

/** Writes an unsigned integer below 2^53 at `at`, where there is room for it; returns where it ends. */
export function putVarint(buffer: Uint8Array, at: number, value: number): number {
  let end = at
  let rest = value
  while (rest > 0x7fffffff) {
    buffer[end++] = (rest % 128) | 128
    rest = Math.floor(rest / 128)
  }
  while (rest > 127) {
    buffer[end++] = (rest & 127) | 128
    rest >>>= 7
  }
  buffer[end++] = rest
  return end
}

/** A growable buffer with the primitive encodings of a body. Little endian throughout. */
export class ByteWriter {
  buffer: Buffer<ArrayBuffer>
  at = 0

  constructor(bytes = 64) {
    this.buffer = Buffer.allocUnsafeSlow(bytes)
  }

  /** Makes room for `bytes` more. @throws RangeError when a body would exceed what a frame may hold. */
  ensure(bytes: number): void {
    const needed = this.at + bytes
    if (needed <= this.buffer.length) return
    if (needed > RAW_BYTES_MAX) throw new RangeError(`a frame body holds at most ${RAW_BYTES_MAX} bytes`)
    const larger = Buffer.allocUnsafeSlow(Math.min(RAW_BYTES_MAX, Math.max(needed, this.buffer.length * 2)))
    this.buffer.copy(larger, 0, 0, this.at)
    this.buffer = larger
  }

  byte(value: number): void {
    if (this.at === this.buffer.length) this.ensure(1)
    this.buffer[this.at++] = value
  }

  /** An unsigned integer below 2^53, seven bits a byte, lowest first. */
  varint(value: number): void {
    if (this.at + VARINT_BYTES_MAX > this.buffer.length) this.ensure(VARINT_BYTES_MAX)
    this.at = putVarint(this.buffer, this.at, value)
  }

  float64(value: number): void {
    this.ensure(8)
    this.at = this.buffer.writeDoubleLE(value, this.at)
  }

  bytes(source: Uint8Array): void {
    this.ensure(source.length)
    this.buffer.set(source, this.at)
    this.at += source.length
  }

  /** UTF-8 without a length; returns the number of bytes. */
  utf8(text: string): number {
    const start = this.at
    this.ensure(text.length < 1024 ? text.length * 3 : Buffer.byteLength(text))
    this.at += this.buffer.write(text, start, 'utf8')
    return this.at - start
  }

  /** UTF-16 code units without a length: the way for strings with lone surrogates, which UTF-8 cannot carry. */
  utf16(text: string): void {
    this.ensure(text.length * 2)
    this.at += this.buffer.write(text, this.at, 'utf16le')
  }
}
