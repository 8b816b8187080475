import type { Models } from '../../examples/recommendations/models/client.ts'
import { recommendations as recommend } from '../../examples/recommendations/pipeline.ts'
import type { Candidates, RankInput, Recommendation, User, UserActivity } from '../../examples/recommendations/records.ts'
import { FROM_ANN } from '../../examples/recommendations/records.ts'
import { withKeyGroups } from '../../runtime/sim/key-groups.ts'
import type { Dice } from '../../runtime/sim/random.ts'
import type { Input, Scenario, UserCode } from '../../runtime/sim/scenario.ts'
import { KEY_GROUPS } from './counts.ts'

const SHARDS = 2
const EVENTS = 14
const START = 1_700_000_040_000
/** Ends the windows of the minutes before it. */
const END = START + 4 * 60_000
const ITEMS = 6

/** Each user's are in one shard, so that there is one right order; two of them are known by their ids to be the same. */
function input(dice: Dice): Input {
  const shards: string[][] = Array.from({ length: SHARDS }, () => [])
  for (let n = 0; n < EVENTS; n++) {
    const shard = dice.below(SHARDS)
    const event = {
      user_id: `${shard}-${dice.below(2)}`,
      item_id: `i${dice.below(ITEMS)}`,
      event_type: dice.pick(['search', 'click', 'view']),
      timestamp: START + n * 11_000,
      event_id: `e${n}`,
    }
    for (let copies = dice.chance(0.2) ? 2 : 1; copies > 0; copies--) shards[shard]!.push(JSON.stringify(event))
  }
  for (const [shard, lines] of shards.entries())
    lines.push(JSON.stringify({ user_id: `end-${shard}`, event_type: 'search', timestamp: END }))
  return { events: shards }
}

/** In the place of the model server: as pure, as slow, and small. */
function models({ sleep, maySurprise }: UserCode): Models {
  const slowly =
    <T extends { user_id: string; window_end: number }, R>(name: string, answer: (of: T) => R) =>
    async (batch: T[]) => {
      await sleep(batch.length * 3)
      for (const { user_id, window_end } of batch) maySurprise(`${name} ${user_id} ${window_end}`)
      return batch.map(answer)
    }
  return {
    userTower: slowly(
      'tower',
      (user: UserActivity): User => ({ ...user, embedding: [user.activity.searches, user.activity.clicks] }),
    ),
    annLookup: slowly('ann', ({ user_id, window_end, activity, embedding }: User): Candidates => {
      const item_ids = [...new Set([...activity.recent_clicks, 'i0'])].sort()
      const similarity = item_ids.map(id => embedding[0]! + Number(id.slice(1)))
      return { user_id, window_end, item_ids, similarity, views: item_ids.map(() => 0), sources: item_ids.map(() => FROM_ANN) }
    }),
    fetchItemFeatures: slowly('features', (of: any) => ({
      ...of,
      features: of.item_ids.map((id: string) => Number(id.slice(1))),
    })),
    rank: slowly('rank', ({ user_id, window_end, item_ids, similarity, views, embedding }: RankInput): Recommendation => {
      const items = item_ids.map((item_id, i) => ({ item_id, score: similarity[i]! + 10 * views[i]! + embedding[1]! }))
      return { user_id, window_end, items }
    }),
  }
}

/** examples/recommendations, as it is but for its models. */
export const recommendations: Scenario = {
  name: 'recommendations',
  shards: SHARDS,
  parallelism: 2,
  variants: 4,
  input,
  app: code => withKeyGroups(recommend(models(code)), KEY_GROUPS),
}
