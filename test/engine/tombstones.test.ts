import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import * as z from 'zod'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { fileSource, monotonous, ndjson, pipeline, print, value } from '../../runtime/index.ts'
import { scratch } from './events.ts'

const Visit = z.object({ user: z.string(), at: z.number() })
const USERS = 4000

/** Users who are remembered for a while, and then forgotten. */
function app() {
  const app = pipeline('visits')
  app
    .source('visits', ndjson(Visit), { time: v => v.at, watermark: monotonous() })
    .keyBy('user')
    .process({
      state: { page: value<string>() },
      onRecord(v, { state, timers }) {
        state.page.set(v.user.repeat(20))
        timers.event.set(v.at + 500)
      },
      onTimer(_, { state }) {
        state.page.clear()
        return []
      },
    })
    .sink('out', print())
  return app.graph()
}

// Memory for a fraction of them, so that all is folded again and again, each run's last fold included: a tombstone that nobody sweeps then stays for good.
test('what is deleted leaves nothing in a state directory, over folds and runs', async t => {
  const dir = scratch(t)
  const state = join(dir, 'state')
  const file = join(dir, 'visits.ndjson')
  for (let run = 0; run < 3; run++) {
    const more = Array.from({ length: USERS }, (_, i) => `${JSON.stringify({ user: `u${run}-${i}`, at: run * USERS + i })}\n`)
    appendFileSync(file, more.join(''))
    await runEmbedded(app(), {
      sources: { visits: fileSource([file]) },
      state,
      stateMemory: 100_000,
      checkpointMs: 20,
      keepOpen: true,
    })
    const db = new DatabaseSync(join(state, 'state.db'), { readOnly: true })
    const rows = (where: string) => Number(db.prepare(`select count(*) as n from base where ${where}`).get()!.n)
    const [entries, markers] = [rows("value is not null and pk not like 'marker|%'"), rows("pk like 'marker|%'")]
    // Those who are remembered still, about.
    assert.ok(markers > 0 && entries > 100 && entries < USERS, `run ${run}: ${entries} entries`)
    assert.equal(rows("value is null and pk not like 'claims|%'"), 0, `run ${run}`)
    db.close()
  }
})
