/** Upper bounds of format version 1. The writer keeps to them, and the reader refuses what exceeds them before it allocates. */

/** Entries of one frame. */
export const ENTRIES_MAX = 1 << 18
/** Values over all columns of one frame; bounds what a reader allocates for columns that take no bytes (constants). */
export const CELLS_MAX = 1 << 22
/** Bytes of a body before compression. */
export const RAW_BYTES_MAX = 1 << 25
/** `approximateBytes` at which a writer takes no more; the real size may be three times as much. */
export const FULL_BYTES = 1 << 22
/** Estimated bytes of a single record: with a frame that is all but full, three times as much still fit. */
export const RECORD_BYTES_MAX = 6 << 20
/** Groups (edge, kind, shape) of one frame: a tag is at most two bytes. */
export const GROUPS_MAX = 1 << 16
/** Key lists of one frame, those of nested objects included; objects beyond carry their keys inline. */
export const SHAPES_MAX = 256
/** An object with more keys is a dictionary rather than a row: its keys are carried inline. */
export const SHAPE_KEYS_MAX = 128
/** Groups whose fields are columns of their own; records of further shapes share one column of whole values per edge and kind. */
export const ROW_GROUPS_MAX = 64
/** Nesting of a value. Cycles run into it too. */
export const DEPTH_MAX = 256
/** Smaller bodies are not compressed: a call of zstd costs 25 µs. */
export const COMPRESS_BYTES_MIN = 512
/** Integers with a smaller magnitude are coded as integers, so that zigzag and delta codes stay exact in a double. */
export const INT_LIMIT = 2 ** 52
/** UTF-8 bytes of a run or attempt id. */
export const ID_BYTES_MAX = 1024
