import type { Receiver } from './operator.ts'

/** What happens to a row: inserted, replaced (its old form and its new one), or deleted. Flink's RowKind, in its short form. */
export type ChangeKind = '+I' | '-U' | '+U' | '-D'

/** One change of a table. */
export interface Change<T> {
  readonly kind: ChangeKind
  /** Of the table: as it is now, or, for what is taken back, as it was. */
  readonly row: T
}

/** Whether the change adds its row; the others take back one that was added before. */
export function adds(kind: ChangeKind): boolean {
  return kind === '+I' || kind === '+U'
}

/** Sends what leads from one row to another; undefined: there is none. Equal rows need no change. */
export function sendChange(to: Receiver, before: unknown, after: unknown, timestamp: number, key: unknown): void {
  if (before === undefined) {
    if (after !== undefined) to.record({ kind: '+I', row: after } satisfies Change<unknown>, timestamp, key)
  } else if (after === undefined) {
    to.record({ kind: '-D', row: before } satisfies Change<unknown>, timestamp, key)
  } else if (!sameRow(before, after)) {
    to.record({ kind: '-U', row: before } satisfies Change<unknown>, timestamp, key)
    to.record({ kind: '+U', row: after } satisfies Change<unknown>, timestamp, key)
  }
}

/** By fields, one deep. */
function sameRow(a: any, b: any): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a)) return false
  const fields = Object.keys(a)
  return fields.length === Object.keys(b).length && fields.every(field => Object.is(a[field], b[field]))
}
