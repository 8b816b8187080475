import { categories, categoryOf, itemOf } from '../catalogue.ts'
import { hash, random } from '../seeded.ts'

/** Numbers per item: category, price, quality, rating, discount, stock, returns, age. */
export const FEATURES = 8
const ITEMS_REMEMBERED = 50_000

const remembered = new Map<string, number[]>()

/** What the feature store has of an item: 8 integers from 0 to 100, so that 700 items cost 6 kB on the wire. */
export function itemFeatures(itemId: string): number[] {
  const known = remembered.get(itemId)
  if (known) return known
  const features = derive(itemId)
  if (remembered.size >= ITEMS_REMEMBERED) remembered.delete(remembered.keys().next().value!)
  remembered.set(itemId, features)
  return features
}

function derive(itemId: string): number[] {
  const { price, quality } = itemOf(itemId)
  const next = random(hash(itemId, 4))
  const percent = (share: number): number => Math.round(100 * share)
  const rating = percent(0.6 * quality + 0.4 * next())
  const discount = percent(next() < 0.2 ? next() * 0.5 : 0)
  return [
    categories.indexOf(categoryOf(itemId)),
    percent(Math.min(1, price / 50_000)),
    percent(quality),
    rating,
    discount,
    percent(next()),
    percent(next() * 0.3),
    percent(next()),
  ]
}
