import type { Ranked } from 'millrace'
import { TRENDING_WINDOW_MS, type TrendingList, type TrendingRow } from './records.ts'

/** Views of one item in the window that ends at `window_end`. */
export interface ItemViews {
  item_id: string
  window_end: number
  views: number
}

/** The aggregate of one user's sliding window of 5 minutes: what was looked at, once for each look. Bots are gone, so it stays small. */
export const itemsViewed = {
  createAccumulator: (): string[] => [],
  add: (items: string[], event: { item_id: string }): string[] => [...items, event.item_id],
  merge: (a: string[], b: string[]): string[] => [...a, ...b],
  getResult: (items: string[]): string[] => items,
}

/** How often each item occurs. */
export function countItems(items: readonly string[]): { item_id: string; views: number }[] {
  const views = new Map<string, number>()
  for (const item of items) views.set(item, (views.get(item) ?? 0) + 1)
  return [...views].map(([item_id, views]) => ({ item_id, views }))
}

export function trendingRow({ rank, value }: Ranked<ItemViews>): TrendingRow {
  const { item_id, window_end, views } = value
  return { window_start: window_end - TRENDING_WINDOW_MS, window_end, rank, item_id, views }
}

export function trendingList(ranked: readonly Ranked<ItemViews>[], window_end: number): TrendingList {
  const items = ranked.map(({ value }) => ({ item_id: value.item_id, views: value.views }))
  return { window_start: window_end - TRENDING_WINDOW_MS, window_end, items }
}
