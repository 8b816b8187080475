import type { SegmentCache } from '../snapshot/segment-cache.ts'

/**
 * Where keyed state lies behind the log: `table`, an item for each entry (a row of DynamoDB, or of SQLite embedded); `segments`, sorted files, which are those of the checkpoints.
 */
export type StateBackendName = 'table' | 'segments'

export const STATE_BACKENDS: readonly StateBackendName[] = ['table', 'segments']

/** A backend, with what a process has of it. */
export type StateBackend = { readonly kind: 'table' } | { readonly kind: 'segments'; readonly cache: SegmentCache }

export const TABLE: StateBackend = { kind: 'table' }
