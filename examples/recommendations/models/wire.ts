import type { Nearest } from '../ann.ts'
import type { Activity, RankedItem } from '../records.ts'
import type { RankRequest } from './ranker.ts'

/** What the endpoints take and give. Every one takes a batch and answers in its order. */
export interface Calls {
  tower: { request: Activity[]; answer: number[][] }
  ann: { request: { embedding: number[]; also: string[] }[]; answer: Nearest[] }
  /** Item ids, and the features of each. */
  features: { request: string[]; answer: number[][] }
  rank: { request: RankRequest[]; answer: RankedItem[][] }
}
