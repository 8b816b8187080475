import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'

const TOTALS = `
import { monotonous, ndjson, pipeline, print } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'
const Event = z.object({ id: z.string(), group: z.string(), n: z.number() })
const app = pipeline('totals')
app.source('events', ndjson(Event), { time: e => e.n, watermark: monotonous() })
  .keyBy(e => e.id)
  .reduce((a, b) => ({ ...b, n: a.n + b.n }))
  .uid('total')
  .keyBy(e => e.group)
  .reduce((a, b) => ({ ...b, n: Math.max(a.n, b.n) }))
  .uid('most')
  .sink('most', print())
export default app
`
const EVENTS = Array.from({ length: 300 }, (_, i) =>
  JSON.stringify({ id: i % 7 === 0 ? `${'long'.repeat(60)}${i % 3}` : `u${i % 20}`, group: `g${i % 5}`, n: i }),
)

test('a state directory goes on at another --parallelism and says so, and savepoints of it start at any', async () => {
  const cwd = directoryWith({ 'totals.ts': TOTALS, 'events.ndjson': EVENTS.join('\n') })
  const go = async (...args: string[]) => {
    const { code, out, err } = await millrace(args, { cwd })
    assert.equal(code, 0, err)
    return { out, err }
  }
  /** It says by its code that the two are of different shapes. */
  const diff = async (a: string, b: string) => JSON.parse((await millrace(['savepoint', 'diff', a, b, '--json'], { cwd })).out)
  const run = ['run', 'totals.ts', '--source', 'events=events.ndjson']
  await go(...run, '--out', 'o', '--state', 's', '--parallelism', '2', '--keep-open')
  await go('savepoint', 'create', 's', '--to', 'two')
  const last = /^two: checkpoint (\d+) of totals/.exec((await go('savepoint', 'inspect', 'two')).out)![1]
  const { err } = await go(...run, '--out', 'o', '--state', 's', '--parallelism', '8', '--keep-open')
  assert.match(err, /^millrace: the parallelism of stage \S+ was 2 and is 8; /m)
  assert.ok(err.includes(`: the run goes on from checkpoint ${last}, and reads`), err)
  await go('savepoint', 'create', 's', '--to', 'eight')
  const differences = await diff('two', 'eight')
  assert.deepEqual(
    differences.states.map((s: any) => [s.operator, s.added, s.removed, s.changed, s.same]),
    [
      ['most', 0, 0, 0, 5],
      ['total', 0, 0, 0, 23],
    ],
  )
  await go('savepoint', 'verify', 'eight')
  assert.match((await go('savepoint', 'inspect', 'eight')).out, /8 subtasks/)
  const again = await go(...run, '--out', 'o', '--state', 's', '--parallelism', '8', '--keep-open')
  assert.doesNotMatch(again.err, /the run goes on from/)
  for (const [i, savepoint] of ['two', 'eight', 'two'].entries()) {
    const parallelism = ['1', '3', '5'][i]!
    await go(
      ...run,
      '--out',
      `o${i}`,
      '--state',
      `s${i}`,
      '--from-snapshot',
      savepoint,
      '--parallelism',
      parallelism,
      '--keep-open',
    )
    await go('savepoint', 'create', `s${i}`, '--to', `of${parallelism}`)
    const { states } = await diff(savepoint, `of${parallelism}`)
    assert.ok(states.every((s: any) => s.added + s.removed + s.changed === 0 && s.same > 0))
  }
  assert.equal(
    readFileSync(join(cwd, 'o', 'most.ndjson'), 'utf8')
      .trim()
      .split('\n').length,
    EVENTS.length,
  )
})
