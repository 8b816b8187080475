import { hash } from 'node:crypto'
import { MillraceError } from '../errors.ts'
import { guarded } from './guarded.ts'

/** What may be a key. */
export type KeyPart = string | number
/** A key: a string, a number, or a tuple of them. */
export type Key = KeyPart | readonly KeyPart[]

/** A key function gave something that can't be a key. */
export class KeyError extends MillraceError {
  override readonly name = 'KeyError'
}

const TUPLE = '\u0001'

/**
 * The form of a key that maps and comparisons use: strings and numbers as they are, tuples as a string that no other key has.
 * Throws KeyError for anything else.
 */
export function canonicalKey(key: unknown, label: string): KeyPart {
  if (typeof key === 'string') return key.charCodeAt(0) === 1 ? TUPLE + JSON.stringify(key) : key
  if (typeof key === 'number') {
    if (Number.isNaN(key)) throw new KeyError(`keyBy(${label}) gave NaN, which is no key`)
    return key === 0 ? 0 : key
  }
  if (Array.isArray(key)) return TUPLE + JSON.stringify(key.map(part => keyPart(part, label)))
  throw new KeyError(`keyBy(${label}) gave ${describe(key)}: a key is a string, a number or a tuple of them`)
}

function keyPart(part: unknown, label: string): KeyPart {
  if (typeof part === 'string') return part
  if (typeof part === 'number' && Number.isFinite(part)) return part === 0 ? 0 : part
  throw new KeyError(`keyBy(${label}) gave a tuple with ${describe(part)} in it: a tuple key holds strings and finite numbers`)
}

function describe(value: unknown): string {
  return value === null
    ? 'null'
    : value instanceof Promise
      ? 'a Promise'
      : typeof value === 'number'
        ? String(value)
        : typeof value
}

/** The key as the user gave it, from its canonical form. */
export function userKey(key: KeyPart): Key {
  return typeof key === 'string' && key.charCodeAt(0) === 1 ? JSON.parse(key.slice(1)) : key
}

/** Longer keys lie under their hash: an address has room for so many (DynamoDB: 1 KB of a sort key, of which a character may take 3 bytes). */
const ID_CHARS_MAX = 200

/** The key as part of an address: a string that tells 1 from '1'. */
export function keyId(key: KeyPart): string {
  if (typeof key === 'number') return `n${key}`
  return isLong(key) ? `h${hashed(key)}` : `s${key}`
}

/** Only its hash is in its address. */
export function isLong(key: KeyPart): boolean {
  return typeof key === 'string' && key.length > ID_CHARS_MAX
}

/** The key that an address names by this, undefined of a long one. */
export function keyOfId(id: string): KeyPart | undefined {
  return id[0] === 'h' ? undefined : id[0] === 'n' ? Number(id.slice(1)) : id.slice(1)
}

/** An id of a user's record as part of an address: as it is, or its hash. */
export function shortId(id: KeyPart): KeyPart {
  return typeof id === 'string' && isLong(id) ? hashed(id) : id
}

function hashed(text: string): string {
  return hash('sha256', guarded(text), 'base64url')
}

/** Stable across processes, runs and versions: it decides where state lives. */
export function keyGroup(key: KeyPart, groups: number): number {
  return (
    (typeof key === 'number' && (key | 0) === key ? mix(key) : hashString(typeof key === 'number' ? `n${key}` : key)) % groups
  )
}

function hashString(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return mix(h)
}

/** Murmur3's finaliser: neighbouring keys land in different groups. */
function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** The subtask that owns a key group: contiguous ranges, as evenly as they go. */
export function subtaskOf(group: number, groups: number, parallelism: number): number {
  return Math.floor((group * parallelism) / groups)
}
