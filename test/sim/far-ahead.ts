import assert from 'node:assert/strict'
import * as z from 'zod'
import { boundedOutOfOrderness, ndjson, pipeline, print, sum, tumbling } from '../../runtime/index.ts'
import type { Dice } from '../../runtime/sim/random.ts'
import type { Input, Rows, Scenario } from '../../runtime/sim/scenario.ts'
import { KEY_GROUPS } from './counts.ts'

const Sale = z.object({ user: z.string(), amount: z.number(), at: z.number() })
type Sale = z.infer<typeof Sale>

const START = 1_700_000_000_000
const HOUR = 3_600_000
const RECORDS = 12
const WINDOW_MS = 30_000

/** Two shards. The first is an hour ahead of the other from the beginning, and has all it has but its end when the other has hardly begun; records in each are in order. */
function input(dice: Dice): Input {
  const part = (name: string, from: number) => {
    const sales = Array.from({ length: RECORDS }, (_, i) => ({
      user: `${name}${dice.below(3)}`,
      amount: dice.below(100),
      at: from + i * 10_000,
    }))
    return [...sales, { user: 'end', amount: 0, at: START + 3 * HOUR }].map(sale => JSON.stringify(sale))
  }
  return { sales: [part('ahead', START + HOUR), part('behind', START)] }
}

/** Nothing is late as long as the shard that is behind holds the watermark back, whatever its shard is split into and merged with. */
function check({ totals }: Rows, { sales }: Input): void {
  const wanted = new Map<string, number>()
  for (const line of sales!.flat()) {
    const { user, amount, at }: Sale = JSON.parse(line)
    const name = `${user} ${Math.floor(at / WINDOW_MS)}`
    if (user !== 'end') wanted.set(name, (wanted.get(name) ?? 0) + amount)
  }
  const found = totals!.map(({ user, start, total }) => [`${user} ${start / WINDOW_MS}`, total] as const)
  assert.deepEqual(new Map(found), wanted, 'what each window holds by definition')
}

/** Windows over a source one of whose shards is far ahead in event time of the one that it is merged with. */
export const farAhead: Scenario = {
  name: 'far-ahead',
  shards: 2,
  parallelism: 2,
  variants: 4,
  early: [0],
  input,
  check,
  app() {
    const app = pipeline('far-ahead', { keyGroups: KEY_GROUPS })
    app
      .source('sales', ndjson(Sale), { time: s => s.at, watermark: boundedOutOfOrderness('5s') })
      .keyBy('user')
      .window(tumbling('30s'))
      .aggregate(sum('amount'), (total, { key, window }) => ({ user: key, start: window.start, total }))
      .sink('totals', print())
    return app
  },
}
