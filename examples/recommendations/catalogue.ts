import { gaussian, hash, normalise, random } from './seeded.ts'

export const EMBEDDING = 128
/** Items remembered with their embedding (0.6 kB each); beyond it the oldest are computed anew when they are met again. */
const ITEMS_REMEMBERED = 50_000
/** How much an item's embedding is its category's, against its own. */
const CATEGORY_WEIGHT = 0.7

export const categories = [
  'audio',
  'bags',
  'bikes',
  'books',
  'cameras',
  'coffee',
  'games',
  'garden',
  'kitchen',
  'lamps',
  'music',
  'phones',
  'shoes',
  'tools',
  'toys',
  'watches',
] as const
export type Category = (typeof categories)[number]

/** All that is known of an item. It derives from the id alone, so an item that no catalogue names is known at its first event. */
export interface Item {
  item_id: string
  category: Category
  /** In cents. */
  price: number
  /** 0 to 1, what the shop makes of it. */
  quality: number
  /** Length 1. */
  embedding: Float32Array
}

const centroids = new Map<string, Float32Array>(categories.map(name => [name, vector(random(hash(name, 1)))]))
const remembered = new Map<string, Item>()

/** The category of an item, without computing the rest of it. */
export function categoryOf(itemId: string): Category {
  return categories[hash(itemId) % categories.length]!
}

/** The item of that id. */
export function itemOf(itemId: string): Item {
  const known = remembered.get(itemId)
  if (known) return known
  const item = derive(itemId)
  if (remembered.size >= ITEMS_REMEMBERED) remembered.delete(remembered.keys().next().value!)
  remembered.set(itemId, item)
  return item
}

/** What a word of a search means: its category if it names one, else what an item of that name would be. */
export function meaningOf(word: string): Float32Array {
  return centroids.get(word) ?? itemOf(word).embedding
}

/** The ids of the catalogue, `i1` to `iN`, by popularity: the lower the number, the more it is looked at. */
export function catalogueIds(size = 5_000): string[] {
  return Array.from({ length: size }, (_, i) => `i${i + 1}`)
}

function derive(itemId: string): Item {
  const category = categoryOf(itemId)
  const next = random(hash(itemId, 2))
  const price = 199 + Math.floor(next() * next() * 50_000)
  const quality = next()
  const embedding = vector(next)
  const centroid = centroids.get(category)!
  for (let i = 0; i < EMBEDDING; i++) embedding[i] = CATEGORY_WEIGHT * centroid[i]! + (1 - CATEGORY_WEIGHT) * embedding[i]!
  return { item_id: itemId, category, price, quality, embedding: normalise(embedding) }
}

function vector(next: () => number): Float32Array {
  return normalise(Float32Array.from({ length: EMBEDDING }, () => gaussian(next)))
}
