import { SegmentCache } from '../snapshot/segment-cache.ts'
import { type StateBackend, type StateBackendName, TABLE } from '../state/backend.ts'

/** Of the memory for state, beside it: blocks of segments that were read. */
const CACHE_SHARE = 1 / 4
/** Some blocks, however little memory there is for state. */
const CACHE_BYTES_MIN = 1024 * 1024
const CACHE_BYTES_MAX = 128 * 1024 * 1024

/** Segments lie in the state directory, or in memory outside of V8's heap: what was last read of them is kept unpacked. `stateBytes`: what state may take in this thread. */
export function openBackend(name: StateBackendName, stateBytes: number): StateBackend {
  if (name === 'table') return TABLE
  const bytesMax = Math.min(CACHE_BYTES_MAX, Math.max(CACHE_BYTES_MIN, stateBytes * CACHE_SHARE))
  return { kind: name, cache: new SegmentCache({ bytesMax }) }
}
