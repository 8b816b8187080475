import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'

const TOTALS = `
import { monotonous, ndjson, pipeline, print } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'
const app = pipeline('totals')
app.source('events', ndjson(z.object({ id: z.string(), n: z.number() })), { time: e => e.n, watermark: monotonous() })
  .keyBy('id')
  .reduce((a, b) => ({ id: a.id, n: a.n + b.n }))
  .uid('total')
  .sink('totals', print())
export default app
`

test('a plan is shown as text, JSON and a drawing, without opening any source', async () => {
  const cwd = directoryWith({ 'totals.ts': TOTALS })
  const text = await millrace(['plan', 'totals.ts'], { cwd })
  assert.deepEqual([text.code, text.err], [0, ''])
  assert.match(text.out, /total[\s\S]*id/)
  const json = JSON.parse((await millrace(['plan', 'totals.ts', '--json', '--parallelism', '3'], { cwd })).out)
  assert.equal(json.stages.at(-1).parallelism, 3)
  assert.match((await millrace(['plan', 'totals.ts', '--mermaid'], { cwd })).out, /^flowchart/)
})

test('a plan says which state backend fits, by what it knows, and by what a run keeps', async () => {
  const dedup = TOTALS.replace(
    ".reduce((a, b) => ({ id: a.id, n: a.n + b.n }))\n  .uid('total')",
    ".dedup('n', { ttl: '1h' })\n  .uid('once')",
  )
  const chosen = dedup.replace("pipeline('totals')", "pipeline('totals', { stateBackend: 'segments' })")
  const stateless = TOTALS.replace(/\n {2}\.keyBy[\s\S]*?\.uid\('total'\)/, '')
  const many = Array.from({ length: 21_000 }, (_, n) => JSON.stringify({ id: `u${n}`, n })).join('\n')
  const files = { 'totals.ts': TOTALS, 'dedup.ts': dedup, 'chosen.ts': chosen, 'stateless.ts': stateless, 'many.ndjson': many }
  const cwd = directoryWith({ ...files, 'few.ndjson': many.slice(0, many.indexOf('\n')) })
  const last = async (...args: string[]) => {
    const { code, out, err } = await millrace(['plan', ...args], { cwd })
    assert.equal(code, 0, err)
    return out.trimEnd().split('\n').at(-1)!
  }
  assert.match(await last('totals.ts'), /^state backend: table \(.* the plan does not know how many .*--state DIR/)
  assert.match(await last('dedup.ts'), /^state backend: table; segments would fit better \(once keeps an entry for each record/)
  assert.match(await last('chosen.ts'), /^state backend: segments \(once keeps/)
  assert.match(await last('stateless.ts'), /^state backend: table \(nothing keeps state/)
  for (const [name, entries, backend] of [
    ['few', 1, 'table'],
    ['many', 21_000, 'segments'],
  ] as const) {
    const to = ['--out', name, '--state', name, '--state-backend', backend]
    const ran = await millrace(['run', 'totals.ts', '--source', `events=${name}.ndjson`, ...to], { cwd })
    assert.equal(ran.code, 0, ran.err)
    const { stateBackend } = JSON.parse((await millrace(['plan', 'totals.ts', '--state', name, '--json'], { cwd })).out)
    assert.equal(stateBackend.advised, backend)
    assert.match(stateBackend.reason, new RegExp(`^total/0 keeps ${entries.toLocaleString('en')} entries`))
  }
  const unknown = await millrace(['run', 'totals.ts', '--source', 'events=few.ndjson', '--state-backend', 'segment'], { cwd })
  assert.deepEqual(
    [unknown.code, unknown.err],
    [2, 'millrace: --state-backend segment: there is no such one: did you mean segments?\n'],
  )
  const other = [
    'run',
    'totals.ts',
    '--source',
    'events=few.ndjson',
    '--out',
    'few',
    '--state',
    'few',
    '--state-backend',
    'segments',
  ]
  assert.match((await millrace(other, { cwd })).err, /was made with the state backend 'table', not 'segments'/)
})

test('what the planner refuses is a mistake in what was typed', async () => {
  const cwd = directoryWith({ 'totals.ts': TOTALS })
  for (const command of ['plan', 'run']) {
    const args = command === 'run' ? ['--source', 'events=totals.ts'] : []
    const { code, out, err } = await millrace([command, 'totals.ts', '--parallelism', '1000', ...args], { cwd })
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, /^millrace: totals\.ts: [^\n]*\b128\b[^\n]*\n$/)
  }
})
