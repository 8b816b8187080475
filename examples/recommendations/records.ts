/**
 * What travels between the steps of the pipeline. All of it is plain JSON; lists that belong together are columns of the
 * same length, because 700 objects a record would cost more to move than to rank.
 */

/** What a user did in a window. Newest first; equal times by text. */
export interface Activity {
  /** Texts of the last searches; a search without a text counts as its item's id. */
  recent_queries: string[]
  /** Items of the last clicks and views. */
  recent_clicks: string[]
  /** Events per category of the item, keys sorted. */
  categories: Record<string, number>
  searches: number
  clicks: number
  views: number
}

/** A user at the end of a window: one recommendation will come of it. */
export interface UserActivity {
  user_id: string
  /** End of the window, epoch ms; the record's own time is the millisecond before. */
  window_end: number
  activity: Activity
}

export interface User extends UserActivity {
  /** 128 numbers of 6 decimals, length 1. */
  embedding: number[]
}

/** The most viewed items at a window's end, most viewed first. */
export interface TrendingList {
  window_start: number
  window_end: number
  items: { item_id: string; views: number }[]
}

/** Bits of `Candidates.sources`. */
export const FROM_ANN = 1
export const FROM_TRENDING = 2

/** Items that may be recommended to a user, in order of item id, each once. */
export interface Candidates {
  user_id: string
  window_end: number
  item_ids: string[]
  /** Inner product with the user's embedding, 4 decimals; 0 where only the trending list gave the item. */
  similarity: number[]
  /** From the trending list; 0 where it does not have the item. */
  views: number[]
  /** FROM_ANN, FROM_TRENDING or both (3). */
  sources: number[]
}

/** What ranking needs: the candidates, and the user's embedding of the same window. */
export interface RankInput extends Candidates {
  embedding: number[]
}

export interface RankInputWithFeatures extends RankInput {
  /** `FEATURES` small integers an item, one item after the other. Bytes where they travel: packed and unpacked at once. */
  features: ArrayLike<number>
}

export interface RankedItem {
  item_id: string
  score: number
}

/** A line of `recommendations.ndjson`. */
export interface Recommendation {
  user_id: string
  window_end: number
  items: RankedItem[]
}

/** A line of `trending.ndjson`. */
export interface TrendingRow {
  window_start: number
  window_end: number
  rank: number
  item_id: string
  views: number
}

export const MINUTE_MS = 60_000
export const ACTIVITY_WINDOW_MS = 30 * MINUTE_MS
export const TRENDING_WINDOW_MS = 5 * MINUTE_MS
export const DISORDER_MS = 10_000
export const TRENDING_ROWS = 10
export const TRENDING_CANDIDATES = 200
export const RECOMMENDED = 100
