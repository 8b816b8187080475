import { buildIndex } from '../ann.ts'
import { itemFeatures } from './features.ts'
import { rank } from './ranker.ts'
import { userTower } from './tower.ts'
import type { Calls } from './wire.ts'

/** What each endpoint makes of a batch. */
export type Answers = { readonly [E in keyof Calls]: (batch: Calls[E]['request']) => Calls[E]['answer'] }

/** The models themselves, whoever asks them. The index is built now. */
export function answers(): Answers {
  const index = buildIndex()
  return {
    tower: batch => batch.map(userTower),
    ann: batch => batch.map(({ embedding, also }) => index.nearest(embedding, also)),
    features: batch => batch.map(itemFeatures),
    rank: batch => batch.map(rank),
  }
}
