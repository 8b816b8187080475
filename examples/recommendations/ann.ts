import { Index, MetricKind, ScalarKind } from 'usearch'
import { catalogueIds, EMBEDDING, itemOf } from './catalogue.ts'
import { byCodeUnit, dot, round } from './seeded.ts'

export const ANN_CANDIDATES = 500
/** Measured on 5,000 items, 500 nearest: recall 0.99, 0.5 ms a lookup, 0.5 s to build. */
const CONNECTIVITY = 16
const EXPANSION_ADD = 64
const EXPANSION_SEARCH = 512
/** A user who does nothing asks the same each minute for half an hour: so many answers (10 kB each) are kept, the last used ones. */
const ANSWERS_KEPT = 4_096

/** Items near a user, in order of item id, with the inner product to 4 decimals. */
export interface Nearest {
  item_ids: string[]
  similarity: number[]
}

export interface ItemIndex {
  /** About 500 items of the catalogue that are nearest to the embedding, and those of `also`, each once. Not to be changed. */
  nearest(embedding: number[], also: string[]): Nearest
}

/**
 * An HNSW index (usearch) over a catalogue.
 *
 * It never changes after it is built, on one thread and in the order of the ids, so that an answer depends on the question
 * alone: not on what others ask at the same time, nor on how far the stream has come. Items that the catalogue does not
 * name are therefore not in it. They are candidates from their first event on all the same: for the user who looked at
 * them by `also` (the user's own clicks and views, compared exactly), for everybody once they are among the trending 200.
 * As real recommenders do, with the index built each night and a list of what is new since.
 */
export function buildIndex(itemIds: string[] = catalogueIds()): ItemIndex {
  const ids = [...new Set(itemIds)].sort(byCodeUnit)
  const index = new Index({
    dimensions: EMBEDDING,
    metric: MetricKind.IP,
    quantization: ScalarKind.F32,
    connectivity: CONNECTIVITY,
    expansion_add: EXPANSION_ADD,
    expansion_search: EXPANSION_SEARCH,
    multi: false,
  })
  const vectors = new Float32Array(ids.length * EMBEDDING)
  ids.forEach((id, i) => {
    vectors.set(itemOf(id).embedding, i * EMBEDDING)
  })
  if (ids.length)
    index.add(
      BigUint64Array.from(ids, (_, i) => BigInt(i)),
      vectors,
      1,
    )
  const wanted = Math.min(ANN_CANDIDATES, ids.length)

  function nearest(embedding: number[], also: string[]): Nearest {
    const keys = wanted ? Array.from(index.search(Float32Array.from(embedding), wanted, 1).keys, Number) : []
    // Positions in `ids` are in the order of the ids: sorting numbers sorts the items.
    const found = Uint32Array.from(keys).sort()
    const itemIds = addAll(
      Array.from(found, key => ids[key]!),
      also,
    )
    return { item_ids: itemIds, similarity: itemIds.map(id => round(dot(embedding, itemOf(id).embedding), 4)) }
  }
  const answers = new Map<string, Nearest>()
  function remembered(embedding: number[], also: string[]): Nearest {
    const question = JSON.stringify([embedding, also])
    const answer = answers.get(question) ?? nearest(embedding, also)
    answers.delete(question)
    answers.set(question, answer)
    if (answers.size > ANSWERS_KEPT) answers.delete(answers.keys().next().value!)
    return answer
  }
  return { nearest: remembered }
}

/** A sorted list with a few more, each once, still sorted. */
function addAll(sorted: string[], more: string[]): string[] {
  const known = new Set(sorted)
  const fresh = [...new Set(more)].filter(id => !known.has(id))
  return fresh.length ? sorted.concat(fresh).sort(byCodeUnit) : sorted
}
