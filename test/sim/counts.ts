import assert from 'node:assert/strict'
import * as z from 'zod'
import { boundedOutOfOrderness, ndjson, type Pipeline, pipeline, print, type SourceStream, value } from '../../runtime/index.ts'
import type { Dice } from '../../runtime/sim/random.ts'
import type { Input, Rows, Scenario, UserCode } from '../../runtime/sim/scenario.ts'

const Visit = z.object({ id: z.number(), user: z.string(), at: z.number() })
type Visit = z.infer<typeof Visit>
const START = 1_700_000_000_000
const RECORDS = 24
/** Three, so that one barrier of two that are pending is not all. */
const SHARDS = 3

/** Few, so that a cold start asks for few ranges of timers. */
export const KEY_GROUPS = 8

function visits(name: string): { app: Pipeline; source: SourceStream<Visit> } {
  const app = pipeline(name, { keyGroups: KEY_GROUPS })
  return { app, source: app.source('visits', ndjson(Visit), { time: v => v.at, watermark: boundedOutOfOrderness('5s') }) }
}

/** Each user's are in one shard, so that there is one right order. */
function input(dice: Dice): Input {
  const shards: string[][] = Array.from({ length: SHARDS }, () => [])
  for (let id = 0; id < RECORDS; id++) {
    const shard = dice.below(SHARDS)
    shards[shard]!.push(JSON.stringify({ id, user: `${shard}-${dice.below(4)}`, at: START + id * 100 }))
  }
  return { visits: shards }
}

/**
 * Each user's are in one shard, in order. An attempt that can't win may still tell that it was given state of its future (E2). State of its past proves nothing: where both a consumer and a producer are zombies, the one
 * takes what the other has put below the floor (C1), and neither gets through.
 */
function mustFollow({ id, user }: Visit, last: number | undefined, broken: UserCode['broken']): void {
  if (last !== undefined && last >= id) broken(`the state of ${user} has visit ${last}, when ${id} comes`)
}

const inOrder = ({ counts }: Rows) => {
  const last = new Map<string, number>()
  for (const { user, nth } of counts!) {
    assert.equal(nth, (last.get(user) ?? 0) + 1, `the rows of ${user} are in order`)
    last.set(user, nth)
  }
}

const base = { shards: SHARDS, parallelism: 2, variants: 4, mayMix: true, input }

/** The smallest pipeline with a shuffle: how manieth of its user each record is. */
export const counts: Scenario = {
  ...base,
  name: 'counts',
  app({ maySurprise, broken }) {
    const { app, source } = visits('counts')
    source
      .map(v => {
        maySurprise(v.id)
        return v
      })
      .keyBy('user')
      .process({
        state: { n: value<number>(), last: value<number>() },
        onRecord(v, ctx) {
          maySurprise(`count ${v.id}`)
          mustFollow(v, ctx.state.last.get(), broken)
          ctx.state.last.set(v.id)
          const nth = (ctx.state.n.get() ?? 0) + 1
          ctx.state.n.set(nth)
          return [{ id: v.id, user: v.user, nth }]
        },
      })
      .sink('counts', print())
    return app
  },
  check: inOrder,
}

const isBad = ({ id }: { id: number }) => id % 9 === 4
const isWorse = ({ id }: { id: number }) => id % 9 === 7

/** User code fails on some records each time, in the source's stage and in the next one. */
export const poison: Scenario = {
  ...base,
  name: 'poison',
  app({ maySurprise, broken }) {
    const { app, source } = visits('poison')
    source
      .deadLetters()
      .map(({ raw }) => JSON.parse(Buffer.from(raw).toString()))
      .sink('rejected', print())
    source
      .map(v => {
        if (isBad(v)) throw new RangeError(`no visit ${v.id}`)
        return v
      })
      .keyBy('user')
      .process({
        state: { n: value<number>(), last: value<number>() },
        onRecord(v, ctx) {
          mustFollow(v, ctx.state.last.get(), broken)
          ctx.state.last.set(v.id)
          const nth = (ctx.state.n.get() ?? 0) + 1
          ctx.state.n.set(nth)
          if (isWorse(v)) throw new RangeError(`no count of ${v.id}`)
          maySurprise(v.id)
          return [{ id: v.id, user: v.user, nth }]
        },
      })
      .sink('counts', print())
    return app
  },
  check(rows, { visits }) {
    inOrder(rows)
    const all: Visit[] = visits!.flat().map(line => JSON.parse(line))
    const ids = (found: readonly { id: number }[]) => found.map(({ id }) => id).sort((a, b) => a - b)
    assert.deepEqual(ids(rows.rejected!), ids(all.filter(isBad)))
    assert.deepEqual(ids(rows.counts!), ids(all.filter(v => !isBad(v) && !isWorse(v))))
  },
}

/** Ids of the records that have to end as dead letters. */
export const poisonIds = ({ visits }: Input): unknown[] =>
  visits!
    .flat()
    .map(line => JSON.parse(line))
    .filter(v => isBad(v) || isWorse(v))
    .map(({ id }) => id)
    .sort()

/** User code draws lots: two branches have to tell of the same draw, that of the one attempt that was committed. */
export const lots: Scenario = {
  ...base,
  name: 'lots',
  app({ random, maySurprise, broken }) {
    const { app, source } = visits('lots')
    const drawn = source.map(v => ({ ...v, lot: Math.floor(random() * 1e9) }))
    drawn
      .keyBy('user')
      .process({
        state: { sum: value<number>(), last: value<number>() },
        onRecord(v, ctx) {
          maySurprise(v.id)
          mustFollow(v, ctx.state.last.get(), broken)
          ctx.state.last.set(v.id)
          const sum = (ctx.state.sum.get() ?? 0) + v.lot
          ctx.state.sum.set(sum)
          return [{ id: v.id, user: v.user, lot: v.lot, sum, own: Math.floor(random() * 1e9) }]
        },
      })
      .keyBy('lot')
      .map(v => v)
      .sink('sums', print())
    drawn
      .keyBy('id')
      .map(({ id, lot }) => ({ id, lot }))
      .sink('lots', print())
    return app
  },
  same: rows => ({ sums: rows.sums!.map(({ id, user }) => ({ id, user })), lots: rows.lots!.map(({ id }) => ({ id })) }),
  check({ sums, lots }) {
    const lotOf = new Map(lots!.map(({ id, lot }) => [id, lot]))
    const sumOf = new Map<string, number>()
    for (const { id, user, lot, sum } of sums!.toSorted((a, b) => a.id - b.id)) {
      assert.equal(lot, lotOf.get(id), `both branches have the same lot of ${id}`)
      sumOf.set(user, (sumOf.get(user) ?? 0) + lot)
      assert.equal(sum, sumOf.get(user), `the state of ${user} is the sum of what came out`)
    }
  },
}
