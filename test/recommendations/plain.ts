/**
 * The recommendation pipeline's answers straight from their definition (`examples/recommendations/README.md`), without the
 * engine: everything in memory, sorted, window by window. The tests compare the pipeline with it line for line. It shares
 * the models and the index with the pipeline, and nothing else.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { buildIndex, type ItemIndex } from '../../examples/recommendations/ann.ts'
import { categoryOf } from '../../examples/recommendations/catalogue.ts'
import { ShopEvent } from '../../examples/recommendations/events.ts'
import { itemFeatures } from '../../examples/recommendations/models/features.ts'
import { rank } from '../../examples/recommendations/models/ranker.ts'
import { userTower } from '../../examples/recommendations/models/tower.ts'
import type { Activity, Recommendation, TrendingRow } from '../../examples/recommendations/records.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** An event that the filters kept, and the watermark that it was judged by. */
export interface Kept {
  event: ShopEvent
  watermark: number
}

/** The events of an NDJSON file, gzipped or not; lines that are no event are left out. */
export function readEvents(path: string): ShopEvent[] {
  const bytes = readFileSync(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
  return text.split('\n').flatMap(line => {
    if (line.trim() === '') return []
    try {
      return [ShopEvent.parse(JSON.parse(line))]
    } catch {
      return []
    }
  })
}

/** What lateness, duplicates and bots leave over, in the order of the file. */
export function plainKept(events: ShopEvent[]): Kept[] {
  let newest = Number.NEGATIVE_INFINITY
  const firstSeen = new Map<string, number>()
  const users = new Map<string, { arrived: number[]; from: number; until: number }>()
  const kept: Kept[] = []
  for (const event of events) {
    const watermark = newest - 10_000 - 1
    newest = Math.max(newest, event.timestamp)
    if (event.timestamp + 30 * MINUTE <= watermark) continue
    if (isDuplicate(event, firstSeen)) continue
    const user = users.get(event.user_id) ?? { arrived: [], from: 0, until: 0 }
    users.set(event.user_id, user)
    if (!isBot(event.timestamp, user)) kept.push({ event, watermark })
  }
  return kept
}

function isDuplicate(event: ShopEvent, firstSeen: Map<string, number>): boolean {
  if (event.event_id === undefined) return false
  const id = JSON.stringify([event.user_id, event.event_id])
  const first = firstSeen.get(id)
  if (first !== undefined && Math.abs(event.timestamp - first) < HOUR) return true
  firstSeen.set(id, event.timestamp)
  return false
}

function isBot(time: number, user: { arrived: number[]; from: number; until: number }): boolean {
  if (time >= user.from && time < user.until) return true
  const newest = Math.max(...user.arrived.slice(-100_000), time)
  const before = user.arrived.filter(t => t > newest - 20_000 && t > time - 10_000 && t <= time)
  if (before.length + 1 > 100) {
    user.until = time < user.from ? user.until : time + HOUR
    user.from = time
    return true
  }
  user.arrived.push(time)
  return false
}

/** The ends of the windows of `size` that an event counts in: those around it that have not fired when it comes. */
function windowEnds({ event, watermark }: Kept, size: number): number[] {
  const ends: number[] = []
  const first = (Math.floor(event.timestamp / MINUTE) + 1) * MINUTE
  for (let end = first; end - size <= event.timestamp; end += MINUTE) if (end - 1 > watermark) ends.push(end)
  return ends
}

/** Every window's views per item, most first, equal ones by id; by the window's end. */
export function plainViews(kept: Kept[]): Map<number, [item: string, views: number][]> {
  const windows = new Map<number, Map<string, number>>()
  for (const one of kept) {
    if (one.event.event_type === 'search') continue
    for (const end of windowEnds(one, 5 * MINUTE)) {
      const views = windows.get(end) ?? new Map<string, number>()
      windows.set(end, views.set(one.event.item_id, (views.get(one.event.item_id) ?? 0) + 1))
    }
  }
  const byEnd = [...windows].sort((a, b) => a[0] - b[0])
  return new Map(byEnd.map(([end, views]) => [end, [...views].sort((a, b) => b[1] - a[1] || compare(a[0], b[0]))]))
}

/** `trending.ndjson`, by window and rank. */
export function plainTrending(events: ShopEvent[]): TrendingRow[] {
  return [...plainViews(plainKept(events))].flatMap(([end, items]) =>
    items.slice(0, 10).map(([item_id, views], i) => {
      return { window_start: end - 5 * MINUTE, window_end: end, rank: i + 1, item_id, views }
    }),
  )
}

/** What each user did in each window, by window and then by user. */
export function plainActivities(events: ShopEvent[]): { user_id: string; window_end: number; activity: Activity }[] {
  const firings = new Map<number, Map<string, ShopEvent[]>>()
  for (const one of plainKept(events)) {
    for (const end of windowEnds(one, 30 * MINUTE)) {
      const users = firings.get(end) ?? new Map<string, ShopEvent[]>()
      firings.set(end, users)
      const list = users.get(one.event.user_id)
      if (list) list.push(one.event)
      else users.set(one.event.user_id, [one.event])
    }
  }
  return [...firings]
    .sort((a, b) => a[0] - b[0])
    .flatMap(([window_end, users]) =>
      [...users]
        .sort((a, b) => compare(a[0], b[0]))
        .map(([user_id, of]) => ({ user_id, window_end, activity: plainActivity(of) })),
    )
}

export function plainActivity(events: ShopEvent[]): Activity {
  const searches = events.filter(event => event.event_type === 'search')
  const looks = events.filter(event => event.event_type !== 'search')
  const categories = events.flatMap(event => (event.item_id === '' ? [] : [categoryOf(event.item_id)])).sort()
  return {
    recent_queries: latest(searches.map(event => [event.timestamp, event.query ?? event.item_id])).slice(0, 10),
    recent_clicks: latest(looks.map(event => [event.timestamp, event.item_id])).slice(0, 20),
    categories: Object.fromEntries([...new Set(categories)].map(name => [name, categories.filter(c => c === name).length])),
    searches: searches.length,
    clicks: looks.filter(event => event.event_type === 'click').length,
    views: looks.filter(event => event.event_type === 'view').length,
  }
}

function latest(entries: [number, string][]): string[] {
  const named = entries.filter(entry => entry[1] !== '')
  return named.sort((a, b) => b[0] - a[0] || compare(a[1], b[1])).map(entry => entry[1])
}

/** `recommendations.ndjson`, by window and then by user. */
export function plainRecommendations(events: ShopEvent[], index: ItemIndex = buildIndex()): Recommendation[] {
  const trending = plainViews(plainKept(events))
  return plainActivities(events).map(({ user_id, window_end, activity }) => {
    const popular = (trending.get(window_end) ?? []).slice(0, 200)
    return { user_id, window_end, items: recommend(activity, popular, index) }
  })
}

function recommend(activity: Activity, popular: [string, number][], index: ItemIndex) {
  const embedding = userTower(activity)
  const near = index.nearest(embedding, activity.recent_clicks)
  const similarities = new Map(near.item_ids.map((id, i) => [id, near.similarity[i]!]))
  const views = new Map(popular)
  const item_ids = [...new Set([...near.item_ids, ...views.keys()])].sort()
  return rank({
    embedding,
    item_ids,
    similarity: item_ids.map(id => similarities.get(id) ?? 0),
    views: item_ids.map(id => views.get(id) ?? 0),
    sources: item_ids.map(id => (similarities.has(id) ? 1 : 0) + (views.has(id) ? 2 : 0)),
    features: item_ids.flatMap(itemFeatures),
  })
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
