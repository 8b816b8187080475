import { Packr } from 'msgpackr'
import { guarded, unguarded } from '../graph/guarded.ts'

/** One codec for everything small that is stored: commit items, base values, manifests. Each packed buffer stands alone. */
const packr = new Packr({ structuredClone: true, moreTypes: true, useRecords: true })

/** The one byte that MessagePack never uses: in front of a value whose strings are guarded. */
const GUARDED = 0xc1

/** Dates, Maps, Sets, bigints, typed arrays, -0, NaN, undefined and halves of surrogate pairs survive. The buffer is the caller's own. */
export function pack(value: unknown): Uint8Array {
  // MessagePack's strings are UTF-8, which has no halves.
  return isWellFormed(value) ? packr.pack(value) : Buffer.concat([Buffer.of(GUARDED), packr.pack(mapStrings(value, guarded))])
}

/**
 * What `pack` gave, with a tag in front (state/schema.ts), of at most 255 characters in ASCII: behind the byte that MessagePack never uses, it once more, then the tag's length. No packed value begins like that.
 */
export function tagged(tag: string, packed: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of(GUARDED, GUARDED, tag.length), Buffer.from(tag, 'latin1'), packed])
}

/** Of a value that has one in front. */
export function tagIn(bytes: Uint8Array): string | undefined {
  if (bytes[0] !== GUARDED || bytes[1] !== GUARDED) return undefined
  return Buffer.from(bytes.subarray(3, 3 + bytes[2]!)).toString('latin1')
}

/** Of a value with or without a tag in front. */
export function unpack<T>(bytes: Uint8Array): T {
  if (bytes[0] === GUARDED && bytes[1] === GUARDED) return unpack(bytes.subarray(3 + bytes[2]!))
  return bytes[0] === GUARDED ? (mapStrings(packr.unpack(bytes.subarray(1)), unguarded) as T) : (packr.unpack(bytes) as T)
}

/** Deeper than any value is; what is nested further may be a cycle. */
const DEPTH_MAX = 64

function isWellFormed(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX || ArrayBuffer.isView(value)) return true
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isWellFormed(value[i], depth + 1)) return false
    return true
  }
  if (value instanceof Map) {
    for (const [k, v] of value) if (!isWellFormed(k, depth + 1) || !isWellFormed(v, depth + 1)) return false
    return true
  }
  if (value instanceof Set) {
    for (const v of value) if (!isWellFormed(v, depth + 1)) return false
    return true
  }
  for (const name in value) {
    if (!name.isWellFormed() || !isWellFormed((value as Record<string, unknown>)[name], depth + 1)) return false
  }
  return true
}

function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value)
  if (typeof value !== 'object' || value === null || value instanceof Date || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) return value.map(v => mapStrings(v, map))
  if (value instanceof Map) return new Map(Array.from(value, ([k, v]) => [mapStrings(k, map), mapStrings(v, map)]))
  if (value instanceof Set) return new Set(Array.from(value, v => mapStrings(v, map)))
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [map(name), mapStrings(v, map)]))
}
