import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'

/** Counts by item; `more` goes into the pipeline behind that, `state` is how the count is kept. */
const counts = (more: string, state = 'value<number>()', open = 'n', close = 'n') => `
import { monotonous, ndjson, pipeline, print, tumbling, count, value } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'

const app = pipeline('counts')
const events = app.source('events', ndjson(z.object({ item: z.string(), time: z.number() })), { time: e => e.time, watermark: monotonous() })
const items = events.keyBy('item')
items.process({
    state: { n: ${state} },
    onRecord(e, ctx) {
      const stored: any = ctx.state.n.get()
      const n = (stored === undefined ? 0 : ${open.replace('n', 'stored')}) + 1
      ctx.state.n.set(${close})
      return [{ item: e.item, n }]
    },
  })
  .uid('per-item')
  .sink('counts', print())
${more}
export default app
`
const WINDOWS = "items.window(tumbling('1m')).aggregate(count()).uid('windows').sink('windows', print())"
const FILES = {
  'first.ts': counts(WINDOWS),
  'second.ts': counts("events.filter(e => e.time > 0).keyBy('item').reduce((_, b) => b).uid('last').sink('last', print())"),
  'third.ts': counts(WINDOWS, 'value<{ n: number }>({ version: 2, migrate: { 1: (n: number) => ({ n }) } })', 'n.n', '{ n }'),
  'fourth.ts': counts(WINDOWS, 'value<{ n: number }>({ version: 2 })', 'n.n', '{ n }'),
  'a.ndjson': Array.from({ length: 2000 }, (_, i) => `${JSON.stringify({ item: `i${i % 7}`, time: 1 + i * 100 })}\n`).join(''),
}
const RUN = ['--source', 'events=a.ndjson', '--checkpoint', '10ms', '--batch', '50', '--out', 'out']

test('millrace diff says what becomes of the state, and millrace run does it', async () => {
  const cwd = directoryWith(FILES)
  const go = async (words: string[], code: number) => {
    const result = await millrace(words, { cwd })
    assert.equal(result.code, code, result.err || result.out)
    return result
  }
  await go(['run', 'first.ts', ...RUN, '--state', 's', '--keep-open'], 0)
  await go(['savepoint', 'create', 's', '--to', 'point'], 0)

  const same = await go(['diff', 'first.ts', '--state', 's'], 0)
  assert.equal(
    same.out,
    'keeps  source-events  position\nkeeps  per-item       n\nkeeps  windows        panes\n\nthe run goes on in its own logs\n',
  )
  const changed = await go(['diff', 'second.ts', '--state', 's'], 1)
  assert.equal(
    changed.out,
    `drops         windows        panes
starts empty  last           reduced
keeps         source-events  position
keeps         per-item       n

the new code is refused, unless what is dropped may go (--allow-drop)
`,
  )
  assert.match(
    (await go(['diff', 'second.ts', '--snapshot', 'point', '--allow-drop'], 0)).out,
    /\na new run takes the state over\n$/,
  )
  assert.deepEqual(JSON.parse((await go(['diff', 'third.ts', '--snapshot', 'point', '--json'], 0)).out), {
    fits: true,
    newRun: false,
    states: [
      { operator: 'source-events', state: 'position', fate: 'kept' },
      { operator: 'per-item', state: 'n', fate: 'migrated', reason: 'from version 1 to 2' },
      { operator: 'windows', state: 'panes', fate: 'kept' },
    ],
  })
  assert.match(
    (await go(['diff', 'fourth.ts', '--state', 's'], 1)).out,
    /^refuses +per-item +n +its values are of version 1 and are to be of version 2: give it migrate: \{ 1: old => … \}\n[\s\S]*\nthe new code is refused\n$/,
  )
  assert.match((await go(['diff', 'first.ts'], 2)).err, /one of --state DIR, --snapshot PATH and --stack NAME is needed/)

  const refused = await go(['run', 'second.ts', ...RUN, '--state', 's'], 2)
  assert.match(refused.err, /state that nothing in 'counts' takes over any more: panes of windows\. .*--allow-drop/)
  await go(['run', 'third.ts', ...RUN, '--state', 's', '--keep-open'], 0)
  const taken = await go(['run', 'second.ts', ...RUN, '--from-snapshot', 'point', '--state', 't', '--allow-drop'], 0)
  assert.match(taken.err, /^millrace: the state was written by other code of counts:\ndrops +windows/m)
  assert.match(
    (await go(['run', 'second.ts', ...RUN, '--allow-drop'], 2)).err,
    /--allow-drop goes with --state or --from-snapshot only/,
  )
})
