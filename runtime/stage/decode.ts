import type { SourceBatch, SourcePosition } from '../connectors/source.ts'
import { MillraceError } from '../errors.ts'
import type { SourceSpec } from '../graph/graph.ts'
import { describeThrown, TIME_MAX } from '../operators/user-code.ts'

/** A raw record as user code will see it, or why it can't. */
export type Decoded =
  | { readonly ok: true; readonly value: any; readonly timestamp: number }
  | {
      readonly ok: false
      readonly reason: string
      /** What a function of the pipeline threw. Its place is left out of the reason: a dead letter is the same wherever the pipeline runs. */
      readonly thrown?: unknown
    }

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** JSON, then the schema, then the timestamp: whatever fails says so, and the record goes to the dead letters. */
export function decode(raw: string | Uint8Array, source: SourceSpec, batch?: Pick<SourceBatch, 'json'>, index = 0): Decoded {
  let json: unknown
  try {
    json = batch?.json === undefined ? JSON.parse(typeof raw === 'string' ? raw : utf8.decode(raw)) : batch.json(index)
  } catch (error) {
    return { ok: false, reason: `not JSON: ${(error as Error).message}` }
  }
  let result: ReturnType<SourceSpec['schema']['~standard']['validate']>
  try {
    result = source.schema['~standard'].validate(json)
  } catch (error) {
    return { ok: false, reason: `invalid: its validator threw ${describeThrown(error)}`, thrown: error }
  }
  if (result instanceof Promise) {
    throw new MillraceError(`the schema of source ${source.name} validates asynchronously: a source needs a synchronous one`)
  }
  if (result.issues !== undefined) return { ok: false, reason: `invalid: ${result.issues.map(describe).join('; ')}` }
  let timestamp: number
  try {
    timestamp = source.timestamp(result.value)
  } catch (error) {
    return { ok: false, reason: `no timestamp: the time function threw ${describeThrown(error)}`, thrown: error }
  }
  // Not NaN, and nothing beyond: windows are cut around a time, and no watermark comes back from where no time is.
  if (!(Number.isFinite(timestamp) && Math.abs(timestamp) <= TIME_MAX))
    return { ok: false, reason: `no timestamp: ${String(timestamp)} is no time in epoch ms` }
  // Whole milliseconds: windows are cut between them.
  return { ok: true, value: result.value, timestamp: Math.floor(timestamp) }
}

function describe(issue: { readonly message: string; readonly path?: readonly unknown[] | undefined }): string {
  const path = (issue.path ?? [])
    .map(p => (typeof p === 'object' && p !== null && 'key' in p ? String(p.key) : String(p)))
    .join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}

/** Where a record lies, for people: the split, and what its connector knows of the place, or else the position behind it. */
export function describePosition(split: string, place: SourcePosition | undefined, after: SourcePosition): string {
  const fields = Object.entries(place ?? after).map(([field, value]) => `${field} ${value}`)
  return `${split}, ${place === undefined ? 'up to ' : ''}${fields.join(', ')}`
}

/** Never a Buffer, whatever the connector read with: that would be another value to user code, with another JSON. */
export function rawBytes(raw: string | Uint8Array): Uint8Array {
  if (typeof raw === 'string') return new TextEncoder().encode(raw)
  return Buffer.isBuffer(raw) ? new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength) : raw
}
