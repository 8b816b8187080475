/** What the entries of a group are; also what `FrameCursor.next` answers. */
export const ENTRY_RECORD = 0
export const ENTRY_WATERMARK = 1
export const ENTRY_BARRIER = 2

/** First byte of a group in the body. `rows`: a column per field; `values`: one column of whole values. */
export const GROUP = { rows: 0, values: 1, watermarks: 2, barriers: 3 } as const

/** Columns besides the value's own: a record has its timestamp and key, a barrier three. */
export const RECORD_EXTRA_COLUMNS = 2
export const WATERMARK_COLUMNS = 1
export const BARRIER_COLUMNS = 3
