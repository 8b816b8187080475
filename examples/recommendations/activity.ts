import { categoryOf } from './catalogue.ts'
import type { ShopEvent } from './events.ts'
import type { Activity } from './records.ts'
import { byCodeUnit } from './seeded.ts'

export const QUERIES_KEPT = 10
export const CLICKS_KEPT = 20

/** What happened when: `[timestamp, text]`. */
type Entry = [number, string]

/** An activity in the making: plain JSON, at most 30 entries and a count per category. */
export interface ActivityAccumulator {
  queries: Entry[]
  clicks: Entry[]
  categories: Record<string, number>
  /** Searches, clicks, views. */
  counts: [number, number, number]
}

const KINDS = ['search', 'click', 'view'] as const

/**
 * The aggregate of the sliding window of 30 minutes, made for panes: `merge` is commutative and associative, as the last
 * entries are chosen by their time and text, never by when they arrived. Nothing is changed in place.
 */
export const userActivity = {
  createAccumulator(): ActivityAccumulator {
    return { queries: [], clicks: [], categories: {}, counts: [0, 0, 0] }
  },

  add(acc: ActivityAccumulator, event: ShopEvent): ActivityAccumulator {
    return userActivity.merge(acc, ofOne(event))
  },

  merge(a: ActivityAccumulator, b: ActivityAccumulator): ActivityAccumulator {
    return {
      queries: newest(a.queries, b.queries, QUERIES_KEPT),
      clicks: newest(a.clicks, b.clicks, CLICKS_KEPT),
      categories: sum(a.categories, b.categories),
      counts: [a.counts[0] + b.counts[0], a.counts[1] + b.counts[1], a.counts[2] + b.counts[2]],
    }
  },

  getResult(acc: ActivityAccumulator): Activity {
    const [searches, clicks, views] = acc.counts
    return {
      recent_queries: acc.queries.map(entry => entry[1]),
      recent_clicks: acc.clicks.map(entry => entry[1]),
      categories: Object.fromEntries(Object.entries(acc.categories).sort((a, b) => byCodeUnit(a[0], b[0]))),
      searches,
      clicks,
      views,
    }
  },
}

function ofOne(event: ShopEvent): ActivityAccumulator {
  const search = event.event_type === 'search'
  const text = search ? (event.query ?? event.item_id) : event.item_id
  const entries: Entry[] = text === '' ? [] : [[event.timestamp, text]]
  return {
    queries: search ? entries : [],
    clicks: search ? [] : entries,
    categories: event.item_id === '' ? {} : { [categoryOf(event.item_id)]: 1 },
    counts: KINDS.map(kind => (kind === event.event_type ? 1 : 0)) as [number, number, number],
  }
}

/** The first `limit` of two lists that are newest first, equal times by text. */
function newest(a: Entry[], b: Entry[], limit: number): Entry[] {
  if (b.length === 0) return a
  if (a.length === 0) return b
  const merged: Entry[] = []
  let i = 0
  let j = 0
  while (merged.length < limit && (i < a.length || j < b.length)) {
    const first = j >= b.length || (i < a.length && byAge(a[i]!, b[j]!) <= 0)
    merged.push(first ? a[i++]! : b[j++]!)
  }
  return merged
}

function byAge(a: Entry, b: Entry): number {
  return b[0] - a[0] || byCodeUnit(a[1], b[1])
}

function sum(a: Record<string, number>, b: Record<string, number>): Record<string, number> {
  const total = { ...a }
  for (const key in b) total[key] = (total[key] ?? 0) + b[key]!
  return total
}
