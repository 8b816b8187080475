import { Packr } from 'msgpackr'
import { guarded, unguarded } from '../graph/guarded.ts'

/** One codec for everything small that is stored: commit items, base values, manifests. Each packed buffer stands alone. */
const packr = new Packr({ structuredClone: true, moreTypes: true, useRecords: true })

/** The one byte that MessagePack never uses: in front of a value some of whose strings, names or numbers are guarded. */
const GUARDED = 0xc1

/** A field of this name is another one to MessagePack's readers, for fear of what it would be to assign it. */
const PROTO = '__proto__'
/** What stand for it, and for -0, which MessagePack's writers take for 0: no text is guarded so. */
const GUARDED_PROTO = '\u0000p'
const GUARDED_MINUS_ZERO = '\u0000z'

/** Dates, Maps, Sets, bigints, typed arrays, -0, NaN, undefined and halves of surrogate pairs survive. The buffer is the caller's own. */
export function pack(value: unknown): Uint8Array {
  // MessagePack's strings are UTF-8, which has no halves.
  return isWellFormed(value)
    ? packr.pack(value)
    : Buffer.concat([Buffer.of(GUARDED), packr.pack(mapLeaves(value, guardedLeaf, guardedName))])
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
  return bytes[0] === GUARDED
    ? (mapLeaves(packr.unpack(bytes.subarray(1)), unguardedLeaf, unguardedName) as T)
    : (packr.unpack(bytes) as T)
}

/** Deeper than any value is; what is nested further may be a cycle. */
const DEPTH_MAX = 64

function isWellFormed(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (value === 0) return !Object.is(value, -0)
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
    if (name === PROTO || !name.isWellFormed() || !isWellFormed((value as Record<string, unknown>)[name], depth + 1)) return false
  }
  return true
}

function guardedLeaf(value: unknown): unknown {
  if (typeof value === 'string') return guarded(value)
  return Object.is(value, -0) ? GUARDED_MINUS_ZERO : value
}

function unguardedLeaf(value: unknown): unknown {
  if (value === GUARDED_MINUS_ZERO) return -0
  return typeof value === 'string' ? unguarded(value) : value
}

function guardedName(name: string): string {
  return name === PROTO ? GUARDED_PROTO : guarded(name)
}

function unguardedName(name: string): string {
  return name === GUARDED_PROTO ? PROTO : unguarded(name)
}

/** `mapName`: for names of fields. */
function mapLeaves(value: unknown, map: (leaf: unknown) => unknown, mapName: (name: string) => string): unknown {
  const mapped = (v: unknown) => mapLeaves(v, map, mapName)
  if (typeof value !== 'object' || value === null || value instanceof Date || ArrayBuffer.isView(value)) return map(value)
  if (Array.isArray(value)) return value.map(mapped)
  if (value instanceof Map) return new Map(Array.from(value, ([k, v]) => [mapped(k), mapped(v)]))
  if (value instanceof Set) return new Set(Array.from(value, mapped))
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [mapName(name), mapped(v)]))
}
