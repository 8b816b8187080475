import { type AttemptLimits, defaultLimits } from '../stage/attempt.ts'

/** Here a commit costs no more for what is in it, and nobody pays for a batch that is done again; the time it may take is limited in any case. */
const LARGE_COMMITS = { ...defaultLimits, recordsMax: 40_000, timersMax: 20_000, outputBytesMax: 16 * 1024 * 1024 }
/** What a record may bring of keys that were not in memory: all that one commit needs has to be there together. */
const BYTES_PER_RECORD = 1024
const RECORDS_MIN = 1000

/** When a commit is full. Nothing is committed any more once the run has `ended`: what has not come to its end by then may never do so. */
export function commitLimits(batchSize: number | undefined, stateBytes: number, ended: () => boolean): AttemptLimits {
  const limits = batchSize === undefined ? commitsWithin(stateBytes) : { ...defaultLimits, recordsMax: batchSize }
  return { ...limits, deadline: () => (ended() ? 0 : undefined) }
}

function commitsWithin(stateBytes: number): AttemptLimits {
  const recordsMax = Math.max(RECORDS_MIN, Math.floor(stateBytes / BYTES_PER_RECORD))
  return {
    ...LARGE_COMMITS,
    recordsMax: Math.min(LARGE_COMMITS.recordsMax, recordsMax),
    timersMax: Math.min(LARGE_COMMITS.timersMax, recordsMax),
  }
}
