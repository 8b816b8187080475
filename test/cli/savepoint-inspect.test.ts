import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'

const VISITS = `
import { count, list, map, monotonous, ndjson, pipeline, print, tumbling, value } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'

const app = pipeline('visits')
const visits = app
  .source('visits', ndjson(z.object({ user: z.string(), page: z.string(), at: z.number() })), { time: e => e.at, watermark: monotonous() })
  .keyBy('user')
visits
  .process({
    state: { n: value<number>(), pages: map<string, number>({ ttl: '1h' }), last: list<string>() },
    onRecord(e, { state, timers }) {
      state.n.set((state.n.get() ?? 0) + 1)
      state.pages.set(e.page, e.at)
      state.last.add(e.page)
      timers.event.set(e.at + 3_600_000)
    },
    onTimer: () => [],
  })
  .uid('users')
  .sink('never', print())
visits.window(tumbling('1d')).aggregate(count()).uid('days').sink('days', print())
export default app
`
/** Fifteen minutes past midnight, UTC. */
const START = Date.parse('2026-06-01T00:15:00Z')
const lines = (visits: readonly [user: string, page: string][], from: number) =>
  visits.map(([user, page], i) => `${JSON.stringify({ user, page, at: START + (from + i) * 1000 })}\n`).join('')

let cwd: string
const go = async (words: readonly string[], code = 0) => {
  const result = await millrace(words, { cwd })
  assert.equal(result.code, code, result.err || result.out)
  return result.out
}

before(async () => {
  const monday = lines(
    [
      ['ann', '/'],
      ['bob', '/'],
      ['ann', '/shop'],
    ],
    0,
  )
  const tuesday = lines(
    [
      ['ann', '/'],
      ['cyd', '/help'],
    ],
    10,
  )
  cwd = directoryWith({ 'visits.ts': VISITS, 'monday.ndjson': monday, 'tuesday.ndjson': tuesday })
  const run = ['run', 'visits.ts', '--keep-open', '--parallelism', '2', '--out', 'o']
  await go([...run, '--source', 'visits=monday.ndjson', '--state', 's'])
  await go(['savepoint', 'create', 's', '--to', 'a'])
  await go([...run, '--source', 'visits=tuesday.ndjson', '--state', 't', '--from-snapshot', 's', '--new-input'])
  await go(['savepoint', 'create', 't', '--to', 'b'])
})

test('inspect shows by stage where sources stand, and what operators keep', async () => {
  const found = JSON.parse(await go(['savepoint', 'inspect', 'a', '--json']))
  assert.deepEqual([found.pipeline, found.takenFrom.kind, found.keyGroups, found.stages.length], ['visits', 'directory', 128, 2])
  const [source, users] = found.stages
  assert.deepEqual(
    source.positions.map((p: any) => [p.source, p.position.line]),
    [['visits', 3]],
  )
  assert.equal(source.watermark, START + 2000 - 1)
  assert.equal(users.subtasks, 2)
  const sizes = users.operators.map(({ operator, states, timers }: any) => [
    operator,
    states.map((s: any) => [s.state, s.keys, s.entries, s.expiring]),
    timers.event.count,
    timers.event.next,
  ])
  assert.deepEqual(sizes, [
    [
      'users',
      [
        ['n', 2, 2, 0],
        ['pages', 2, 3, 3],
        ['last', 2, 3, 0],
      ],
      3,
      START + 3_600_000,
    ],
    ['days', [['panes', 2, 2, 0]], 2, Date.parse('2026-06-02T00:00:00Z') - 1],
  ])
  const text = await go(['savepoint', 'inspect', 'a'])
  assert.match(text, /^a: checkpoint \d+ of visits, [\d.]+ k?B\n/)
  assert.match(text, /\n {2}users +pages +2 +3 +\d+ B +3 with a time to live\n/)
  assert.match(text, /\n {2}days +event timers +2 +the next at 2026-06-01T23:59:59\.999Z\n/)
  assert.match(text, /\n {2}visits monday\.ndjson: offset \d+, line 3\n/)
})

test('diff tells what was added, removed and changed, and nothing of what is alike', async () => {
  assert.equal(await go(['savepoint', 'diff', 'a', 'a']), 'a and a hold the same\n')
  const { shape, positions, states, entries } = JSON.parse(
    await go(['savepoint', 'diff', 'a', 'b', '--json', '--entries', '100'], 1),
  )
  assert.equal(shape, undefined)
  assert.equal(positions.length, 2)
  const counts = new Map(states.map((s: any) => [`${s.operator} ${s.state}`, [s.added, s.removed, s.changed, s.same]]))
  assert.deepEqual(Object.fromEntries(counts), {
    'days panes': [1, 0, 1, 1],
    'days event timers': [1, 0, 0, 2],
    'users last': [2, 0, 0, 3],
    'users pages': [1, 0, 1, 2],
    'users n': [1, 0, 1, 1],
    'users event timers': [2, 0, 0, 3],
  })
  const n = entries.filter((e: any) => e.state === 'n')
  assert.deepEqual(n, [
    { operator: 'users', state: 'n', owner: '"ann"', before: 2, after: 3 },
    { operator: 'users', state: 'n', owner: '"cyd"', after: 1 },
  ])
  const back = JSON.parse(await go(['savepoint', 'diff', 'b', 'a', '--json'], 1))
  assert.deepEqual(
    back.states.map((s: any) => [s.removed, s.added, s.changed, s.same]),
    states.map((s: any) => [s.added, s.removed, s.changed, s.same]),
  )
  assert.equal(back.entries.length, 10)
  const text = await go(['savepoint', 'diff', 'a', 'b', '--entries', '1000'], 1)
  assert.match(text, /\nusers +n +1 +0 +1 +1\n/)
  assert.match(text, /\n~ users n "ann": 2 → 3\n/)
  assert.match(text, /\n~ days panes "ann" "2026-06-01T00:00:00\.000Z": 2 → 3\n/)
  assert.match(text, /\n\+ users event timers "ann" 2026-06-01T01:15:10\.000Z\n/)
  assert.match(text, /\n\+ users pages "cyd" "\/help": \d+\n/)
  assert.match(await go(['savepoint', 'diff', 'a', 'b', '--entries', '1'], 1), /\n… 10 more \(--entries N\)\n$/)
})

test('what is damaged is named; what is typed wrongly is one sentence', async () => {
  const segment = readdirSync(join(cwd, 'b/segments'))[0]!
  const path = join(cwd, 'b/segments', segment)
  const bytes = readFileSync(path)
  writeFileSync(path, bytes.subarray(1))
  try {
    for (const words of [
      ['inspect', 'b'],
      ['diff', 'a', 'b'],
      ['diff', 'b', 'a'],
    ]) {
      const { code, err } = await millrace(['savepoint', ...words], { cwd })
      assert.equal(code, 2)
      assert.match(
        err,
        new RegExp(
          `^millrace: segments/${segment} of b is damaged: it has \\d+ of \\d+ bytes\\. Nothing can start from it: take another .+\n$`,
        ),
      )
    }
  } finally {
    writeFileSync(path, bytes)
  }
  for (const [words, sentence] of [
    [['inspect', 'none'], /there is no savepoint at none/],
    [['diff', 'a'], /AFTER/],
    [['diff', 'a', 'b', '--entries', 'x'], /--entries x: a whole number is needed/],
  ] as const) {
    const { code, err } = await millrace(['savepoint', ...words], { cwd })
    assert.equal(code, 2, err)
    assert.match(err, sentence)
  }
})
