import type { StageStreams } from '../../runtime/aws/functions/environment.ts'

const never = () => Promise.reject(new Error('streams between stages are not split or merged here'))

/** Streams between stages, where nobody splits or merges their shards: there is nothing to be learned of these. */
export const NEVER_SPLIT: StageStreams = { listShards: async () => [], isReadToEnd: never, read: never }
