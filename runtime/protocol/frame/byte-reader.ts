import { FrameError } from './error.ts'

/** Inverse of `zigzag`. */
export function unzigzag(code: number): number {
  if (code <= 0x7fffffff) return (code >>> 1) ^ -(code & 1)
  return code % 2 === 0 ? code / 2 : -(code + 1) / 2
}

/** Reads the primitive encodings of a body. Every read is bounds-checked: running off the end is a FrameError `corrupt`. */
export class ByteReader {
  readonly buffer: Buffer
  readonly end: number
  at: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.at = at
    this.end = end
  }

  fail(what: string): never {
    throw new FrameError('corrupt', `frame body is corrupt at byte ${this.at}: ${what}`)
  }

  /** Refuses a count or a length that what is left of the body cannot hold, before anything is allocated for it. */
  need(bytes: number): void {
    if (bytes > this.end - this.at) this.fail(`${bytes} bytes needed, ${this.end - this.at} left`)
  }

  byte(): number {
    if (this.at >= this.end) this.fail('end of body')
    return this.buffer[this.at++]!
  }

  varint(): number {
    const first = this.byte()
    if (first < 128) return first
    let value = first & 127
    let scale = 128
    for (let i = 0; i < 7; i++) {
      const next = this.byte()
      value += (next & 127) * scale
      if (next < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 128
    }
    this.fail('a varint above 2^53 - 1')
  }

  float64(): number {
    this.need(8)
    this.at += 8
    return this.buffer.readDoubleLE(this.at - 8)
  }

  /** A copy: the caller's value must not keep the frame alive, nor see its bytes reused. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    this.need(length)
    const copy = new Uint8Array(length)
    copy.set(this.buffer.subarray(this.at, this.at + length))
    this.at += length
    return copy
  }

  utf8(length: number): string {
    this.need(length)
    this.at += length
    return this.buffer.toString('utf8', this.at - length, this.at)
  }

  utf16(units: number): string {
    this.need(units * 2)
    this.at += units * 2
    return this.buffer.toString('utf16le', this.at - units * 2, this.at)
  }
}
