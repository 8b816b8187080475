/** What a running job's stages were changed to. */
export interface Rescaled {
  /** Stages whose shards were split or merged, and how many subtasks they had and have; none: they had as many already. */
  readonly stages: readonly { readonly id: string; readonly from: number; readonly to: number }[]
  /** The longest that keys stood still, ms: from the end of a subtask's log until the one that took over from it was ready for input. */
  readonly pauseMsMax: number
  /** The mean of it, over the subtasks that took over, ms. */
  readonly pauseMsMean: number
  /** The longest that a subtask still had to work on what lay in its shard, ms. Its keys were not paused meanwhile. */
  readonly drainMsMax: number
}
