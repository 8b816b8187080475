import * as z from 'zod'
import {
  boundedOutOfOrderness,
  type Duration,
  map,
  ndjson,
  type Pipeline,
  pipeline,
  print,
  tumbling,
  value,
} from '../../runtime/index.ts'

export const Visit = z.object({ id: z.number(), user: z.string(), page: z.string(), at: z.number() })
export type Visit = z.infer<typeof Visit>

const START = 1_700_000_000_000
/** From one round to the next: longer than a round's windows. */
const ROUND_MS = 20_000_000
/** Behind all windows of a round: what it sets off ends a stream that has no end. */
const END_MS = 10_000_000

/** `onRecord` sees each record first, as the user's code that it stands for. */
export function visits(
  onRecord: (visit: Visit) => void = () => {},
  idleAfter?: Duration,
  schema: z.ZodType<Visit> = Visit,
): Pipeline {
  const app = pipeline('visits')
  const source = app.source('visits', ndjson(schema), { time: v => v.at, watermark: boundedOutOfOrderness('5s'), idleAfter })
  source
    .deadLetters()
    .map(d => ({ reason: d.reason.replace(/ \(.*\)/, ''), raw: Buffer.from(d.raw).toString() }))
    .sink('rejected', print())
  source
    .map(v => {
      onRecord(v)
      return v
    })
    .keyBy('user')
    .process({
      state: { n: value<number>() },
      onRecord(v, ctx) {
        const n = (ctx.state.n.get() ?? 0) + 1
        ctx.state.n.set(n)
        return [{ ...v, nth: n }]
      },
    })
    .keyBy('page')
    .window(tumbling('10s'))
    .process((rows, { key, window }) => [
      {
        page: key,
        start: window.start,
        ids: rows.map(r => r.id).sort((a, b) => a - b),
        nth: rows.reduce((sum, r) => sum + r.nth, 0),
      },
    ])
    .sink('pages', print())
  return app
}

/** Three stages, the second with broadcast state: each visit is told to all, so that what comes out depends on every copy. */
export function crowds(): Pipeline {
  const app = pipeline('visits')
  const all = app
    .source('visits', ndjson(Visit), { time: v => v.at, watermark: boundedOutOfOrderness('5s') })
    .filter(v => v.page !== 'end')
  all
    .keyBy('user')
    .connect(all.broadcast())
    .process({
      broadcast: { visits: map<number, number>() },
      onBroadcast(v, ctx) {
        ctx.broadcast.visits.set(v.id, v.at)
      },
      onRecord(v, ctx) {
        ctx.timers.event.set(Math.ceil((v.at + 1) / 1_000) * 1_000)
      },
      onTimer(at, ctx) {
        const before = [...ctx.broadcast.visits.values()].filter(t => t <= at).length
        return [{ page: `p${before % 3}`, user: ctx.key, at, before }]
      },
    })
    .keyBy('page')
    .window(tumbling('2s'))
    .process((rows, { key, window }) => [
      { page: key, start: window.start, rows: rows.map(r => `${r.user} ${r.at} ${r.before}`).sort() },
    ])
    .sink('pages', print())
  return app
}

/**
 * Records of each split, by user, so that each user's are in one split and in one order. Another round comes later in event time, and counts on: its
 * results are those of all rounds up to it in one run.
 */
export function generate(n: number, splits: number, round = 0): string[][] {
  const all: string[][] = Array.from({ length: splits }, () => [])
  const start = START + round * ROUND_MS
  for (let id = 0; id < n; id++) {
    const user = (id * 7919) % 11
    const at = start + id * 100 + ((id * 31) % 13) * 100
    all[user % splits]!.push(JSON.stringify({ id: round * n + id, user: `u${user}`, page: `p${(id * 13) % 5}`, at }))
  }
  const end = { page: 'end', at: start + END_MS }
  for (const [i, split] of all.entries()) split.push(JSON.stringify({ id: -1 - i, user: `end${i}`, ...end }))
  return all
}

const HOUR_MS = 3_600_000
const STEP_MS = 3_000

/**
 * Four hours of visits in two shards: the archive has the first two and a half of them, the stream the last two and a half, so that an hour is in both, and `until` in that hour. They are out of order by some seconds,
 * but not those of one user: so all counts of users are the same by time, as the archive is read, and by arrival, as the stream is.
 */
export function handover() {
  const shards: Visit[][] = [[], []]
  for (let id = 0; id < (4 * HOUR_MS) / STEP_MS; id++) {
    const user = (id * 7919) % 11
    const at = START + id * STEP_MS + ((id * 31) % 13) * 400
    shards[user % 2]!.push({ id, user: `u${user}`, page: `p${id % 2}`, at })
  }
  const end = (shard: number) => ({ id: -1 - shard, user: `end${shard}`, page: 'end', at: START + 4 * HOUR_MS + END_MS })
  const whole = shards.map((visits, shard) => [...visits, end(shard)])
  const lines = (visits: readonly Visit[]) => visits.map(v => JSON.stringify(v))
  return {
    whole: whole.map(lines),
    archive: lines(shards.flat().filter(v => v.at < START + 2.5 * HOUR_MS)),
    stream: whole.map(visits => lines(visits.filter(v => v.at >= START + 1.5 * HOUR_MS))),
    /** In the middle of a window. */
    until: START + 2 * HOUR_MS + 6_000,
  }
}
