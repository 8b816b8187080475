/** Blobs of what tasks leave for the stream that goes on begin with this. */
export const KEPT_STATE = 'state/'

/** What a subtask is at the end of its task. */
export const stateKey = (stage: number, shard: number) => `${KEPT_STATE}${stage}-${shard}`
