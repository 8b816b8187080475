/** Tags of the self-describing value encoding: one byte, then what the comment says. See docs/frame-format.md. */
export const TAG = {
  null: 0,
  undefined: 1,
  false: 2,
  true: 3,
  /** zigzag varint */
  int: 4,
  /** eight bytes */
  float: 5,
  /** varint bytes, UTF-8 */
  utf8: 6,
  /** varint code units, UTF-16LE */
  utf16: 7,
  /** varint bytes, magnitude, lowest byte first */
  bigint: 8,
  negativeBigint: 9,
  /** varint length, values */
  array: 10,
  /** an element that is not there; only in arrays */
  hole: 11,
  /** varint shape, values in the order of its keys */
  object: 12,
  /** varint count, then key (a string value) and value in turn */
  dictionary: 13,
  /** eight bytes: epoch ms, NaN for an invalid date */
  date: 14,
  /** varint size, then key and value in turn */
  map: 15,
  /** varint size, values */
  set: 16,
  /** a byte: index in TYPED_ARRAYS; varint bytes; the bytes */
  typedArray: 17,
  /** varint bytes; the bytes */
  arrayBuffer: 18,
  /** 0x40 + length: UTF-8 of at most 63 bytes */
  shortUtf8: 0x40,
  /** 0x80 + value: an integer of at most 127 */
  smallInt: 0x80,
} as const

export const SHORT_UTF8_MAX = 63

/** Kinds of typed array by number. Append only. `Buffer` is told from `Uint8Array`, which it extends. */
export const TYPED_ARRAYS: readonly {
  readonly prototype: object
  from(bytes: Uint8Array<ArrayBuffer>): unknown
  readonly size: number
}[] = [
  typedArray(Uint8Array, 1),
  { prototype: Buffer.prototype, from: bytes => Buffer.from(bytes.buffer), size: 1 },
  typedArray(Int8Array, 1),
  typedArray(Uint8ClampedArray, 1),
  typedArray(Int16Array, 2),
  typedArray(Uint16Array, 2),
  typedArray(Int32Array, 4),
  typedArray(Uint32Array, 4),
  typedArray(Float32Array, 4),
  typedArray(Float64Array, 8),
  typedArray(BigInt64Array, 8),
  typedArray(BigUint64Array, 8),
  typedArray(Float16Array, 2),
]

function typedArray(kind: { new (buffer: ArrayBuffer): unknown; readonly prototype: object }, size: number) {
  return { prototype: kind.prototype, from: (bytes: Uint8Array<ArrayBuffer>) => new kind(bytes.buffer), size }
}
