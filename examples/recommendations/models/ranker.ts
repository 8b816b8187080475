import { EMBEDDING, itemOf } from '../catalogue.ts'
import { FROM_ANN, FROM_TRENDING, type RankedItem, type RankInputWithFeatures, RECOMMENDED } from '../records.ts'
import { byCodeUnit, dot, round } from '../seeded.ts'
import { FEATURES } from './features.ts'
import { dense, layer, relu } from './mlp.ts'

const INPUTS = FEATURES + 4
const HIDDEN = 16
const SIMILARITY_WEIGHT = 3
const POPULARITY_WEIGHT = 0.8
const NETWORK_WEIGHT = 0.4

const first = layer('ranker/1', INPUTS, HIDDEN)
const second = layer('ranker/2', HIDDEN, 1)
const input = new Float64Array(INPUTS)
const hidden = new Float64Array(HIDDEN)
const out = new Float64Array(1)

/** What the ranker looks at: everything but whose it is. */
export type RankRequest = Omit<RankInputWithFeatures, 'user_id' | 'window_end'>

/** The best 100 candidates, scores (0 to 1, 6 decimals) descending, equal ones by item id. */
export function rank(request: RankRequest): RankedItem[] {
  if (request.features.length !== request.item_ids.length * FEATURES) throw new RangeError(`${FEATURES} features for each item`)
  if (request.embedding.length !== EMBEDDING) throw new RangeError(`an embedding has ${EMBEDDING} numbers`)
  const items = request.item_ids.map((item_id, i) => ({ item_id, score: score(request, i) }))
  return items.sort((a, b) => b.score - a.score || byCodeUnit(a.item_id, b.item_id)).slice(0, RECOMMENDED)
}

function score(request: RankRequest, i: number): number {
  const similarity = dot(request.embedding, itemOf(request.item_ids[i]!).embedding)
  const views = request.views[i]!
  const popularity = views / (10 + views)
  for (let f = 0; f < FEATURES; f++) input[f] = request.features[i * FEATURES + f]! / 100
  input[FEATURES] = similarity
  input[FEATURES + 1] = popularity
  input[FEATURES + 2] = request.sources[i]! & FROM_ANN ? 1 : 0
  input[FEATURES + 3] = request.sources[i]! & FROM_TRENDING ? 1 : 0
  dense(first, input, hidden)
  relu(hidden)
  dense(second, hidden, out)
  const value = NETWORK_WEIGHT * out[0]! + SIMILARITY_WEIGHT * similarity + POPULARITY_WEIGHT * popularity
  return round(0.5 + (0.5 * value) / (1 + Math.abs(value)), 6)
}
