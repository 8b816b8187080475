import { bytesText } from '../connectors/json-line.ts'
import type { SourceBatch } from '../connectors/source.ts'

/** A row of a table as the JSON that a stream would have carried: times as epoch ms, whole numbers as numbers (those beyond 2^53 as text), bytes as text or `base64:…`. */
export function rowText(row: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(row, function (field, value) {
    const own = this[field]
    if (own instanceof Date) return own.getTime()
    if (typeof own === 'bigint') return Number.isSafeInteger(Number(own)) ? Number(own) : String(own)
    return own instanceof Uint8Array ? bytesText(own) : value
  })
}

/** A cell of CSV, which says nothing of types: what JSON would write so is a number or a boolean, an empty one is left out, all else is text. */
export function cellValue(text: string, { header }: { readonly header: boolean }): unknown {
  if (header) return text
  if (text === '') return undefined
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?\d/.test(text) && String(Number(text)) === text ? Number(text) : text
}

/** Rows from number `first` on, from 0. */
export function rowBatch(records: readonly string[], first: number, done: boolean): SourceBatch {
  return { records, after: i => ({ row: first + i + 1 }), next: { row: first + records.length }, done }
}
