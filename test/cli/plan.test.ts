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

test('what the planner refuses is a mistake in what was typed', async () => {
  const cwd = directoryWith({ 'totals.ts': TOTALS })
  for (const command of ['plan', 'run']) {
    const args = command === 'run' ? ['--source', 'events=totals.ts'] : []
    const { code, out, err } = await millrace([command, 'totals.ts', '--parallelism', '1000', ...args], { cwd })
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, /^millrace: totals\.ts: [^\n]*\b128\b[^\n]*\n$/)
  }
})
