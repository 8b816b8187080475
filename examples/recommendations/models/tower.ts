import { categories, EMBEDDING, itemOf, meaningOf } from '../catalogue.ts'
import type { Activity } from '../records.ts'
import { normalise, round } from '../seeded.ts'
import { dense, layer, relu } from './mlp.ts'

const HIDDEN = 64
const INPUTS = 2 * EMBEDDING + categories.length + 3
const CLICKS_WEIGHT = 1
const QUERIES_WEIGHT = 0.7
const NETWORK_WEIGHT = 0.15

const first = layer('tower/1', INPUTS, HIDDEN)
const second = layer('tower/2', HIDDEN, EMBEDDING)
const input = new Float64Array(INPUTS)
const hidden = new Float64Array(HIDDEN)
const out = new Float64Array(EMBEDDING)

/**
 * The user tower: what a user did, as an embedding in the items' space (128 numbers of 6 decimals, length 1). Two layers
 * over the means of what was searched and clicked (the newest counts most), the shares of the categories and the counts,
 * added to those means.
 */
export function userTower(activity: Activity): number[] {
  input.fill(0)
  const queries = input.subarray(0, EMBEDDING)
  const clicks = input.subarray(EMBEDDING, 2 * EMBEDDING)
  addMean(queries, activity.recent_queries.map(meaningOfQuery))
  addMean(
    clicks,
    activity.recent_clicks.map(id => itemOf(id).embedding),
  )
  addCounts(activity)
  dense(first, input, hidden)
  relu(hidden)
  dense(second, hidden, out)
  for (let i = 0; i < EMBEDDING; i++) {
    out[i] = NETWORK_WEIGHT * out[i]! + CLICKS_WEIGHT * clicks[i]! + QUERIES_WEIGHT * queries[i]!
  }
  return Array.from(normalise(out), value => round(value, 6))
}

function meaningOfQuery(query: string): Float32Array {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length <= 1) return meaningOf(words[0] ?? '')
  const sum = new Float32Array(EMBEDDING)
  for (const word of words) {
    const meaning = meaningOf(word)
    for (let i = 0; i < EMBEDDING; i++) sum[i] = sum[i]! + meaning[i]!
  }
  return normalise(sum)
}

function addMean(target: Float64Array, vectors: Float32Array[]): void {
  let total = 0
  vectors.forEach((vector, age) => {
    const weight = 1 / (1 + age)
    total += weight
    for (let i = 0; i < EMBEDDING; i++) target[i] = target[i]! + weight * vector[i]!
  })
  if (total > 0) for (let i = 0; i < EMBEDDING; i++) target[i] = target[i]! / total
}

function addCounts(activity: Activity): void {
  const counts = [activity.searches, activity.clicks, activity.views]
  const events = counts[0]! + counts[1]! + counts[2]! || 1
  const shares = categories.map(name => (activity.categories[name] ?? 0) / events)
  input.set(shares, 2 * EMBEDDING)
  input.set(
    counts.map(count => count / (10 + count)),
    2 * EMBEDDING + categories.length,
  )
}
