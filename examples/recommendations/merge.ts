import { type Candidates, FROM_TRENDING, TRENDING_CANDIDATES, type TrendingList, type UserActivity } from './records.ts'
import { byCodeUnit } from './seeded.ts'

/** The trending list of the same window's end, as candidates of a user; none if there is no such list. */
export function trendingCandidates(
  user: Pick<UserActivity, 'user_id' | 'window_end'>,
  list: TrendingList | undefined,
): Candidates {
  const items = list?.window_end === user.window_end ? sortedById(list) : []
  return {
    user_id: user.user_id,
    window_end: user.window_end,
    item_ids: items.map(item => item.item_id),
    similarity: items.map(() => 0),
    views: items.map(item => item.views),
    sources: items.map(() => FROM_TRENDING),
  }
}

const sorted = new WeakMap<TrendingList, TrendingList['items']>()

/** All users of a minute get the same list: it is sorted once. */
function sortedById(list: TrendingList): TrendingList['items'] {
  let items = sorted.get(list)
  if (!items) {
    items = list.items.slice(0, TRENDING_CANDIDATES).sort((a, b) => byCodeUnit(a.item_id, b.item_id))
    sorted.set(list, items)
  }
  return items
}

/**
 * Two lists of candidates of the same user and window as one, each item once, with all its sources, the greatest similarity
 * and the most views. Commutative, associative, and the same again for a list merged with itself.
 */
export function mergeCandidates(a: Candidates, b: Candidates): Candidates {
  const out: Candidates = { user_id: a.user_id, window_end: a.window_end, item_ids: [], similarity: [], views: [], sources: [] }
  let i = 0
  let j = 0
  while (i < a.item_ids.length || j < b.item_ids.length) {
    const left = a.item_ids[i]
    const right = b.item_ids[j]
    const order = left === undefined ? 1 : right === undefined ? -1 : byCodeUnit(left, right)
    if (order < 0) push(out, a, i++)
    else if (order > 0) push(out, b, j++)
    else pushBoth(out, a, i++, b, j++)
  }
  return out
}

function push(out: Candidates, from: Candidates, i: number): void {
  out.item_ids.push(from.item_ids[i]!)
  out.similarity.push(from.similarity[i]!)
  out.views.push(from.views[i]!)
  out.sources.push(from.sources[i]!)
}

function pushBoth(out: Candidates, a: Candidates, i: number, b: Candidates, j: number): void {
  const sources = a.sources[i]! | b.sources[j]!
  // An item of the trending list alone has no similarity: its 0 must not win over a negative one.
  const similarities = [a, b].flatMap((side, k) =>
    side.sources[k ? j : i] === FROM_TRENDING ? [] : [side.similarity[k ? j : i]!],
  )
  out.item_ids.push(a.item_ids[i]!)
  out.similarity.push(similarities.length ? Math.max(...similarities) : 0)
  out.views.push(Math.max(a.views[i]!, b.views[j]!))
  out.sources.push(sources)
}
