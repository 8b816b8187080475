import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changeSources } from './changes.ts'
import type { Storage } from './month.ts'

/**
 * What retention keeps is the same from one hour to the next: logs and changes until they are folded (an hour), tombstones until they are swept (half an hour), windows, TTLs and timers (six hours at most). So a month
 * is what twice the longest of them is, over and over, and an hour may be ten minutes: `npx node test/sim/month.ts` does all 43,200 checkpoints.
 */
const HOUR = 10
changeSources([
  { file: 'runtime/aws/functions/materialise.ts', text: 'checkpointsMax: 59', by: `checkpointsMax: ${HOUR - 1}` },
  {
    file: 'runtime/aws/functions/materialise.ts',
    text: 'SWEEP_AFTER_MS = 30 * 60_000',
    by: `SWEEP_AFTER_MS = ${HOUR / 2} * 60_000`,
  },
  { file: 'runtime/snapshot/runs.ts', text: 'OVERLAID_BYTES_MIN = 128 * 1024', by: 'OVERLAID_BYTES_MIN = 32 * 1024' },
])
const { month } = await import('./month.ts')

const MINUTES = 13 * HOUR
/** All that state goes by has come and gone for the first time. */
const WARM = 7 * HOUR

async function storage(stateBackend: 'table' | 'segments', faults: boolean): Promise<Storage[]> {
  const samples: Storage[] = []
  await month({
    minutes: MINUTES,
    stateBackend,
    faults,
    seed: 3,
    eventsPerMinute: 20,
    sampleMinutes: 2,
    hourMinutes: HOUR,
    parallelism: 1,
    onSample: s => samples.push(s),
  })
  return samples.filter(s => s.minute >= WARM)
}

for (const [stateBackend, faults] of [
  ['table', false],
  ['segments', true],
] as const)
  test(`a month of checkpoints keeps storage within twice the live state: ${stateBackend}${faults ? ', with faults' : ''}`, async t => {
    const samples = await storage(stateBackend, faults)
    // How many faults let through is the weather's: a shard may be left alone for 20 minutes. Without any checkpoints nothing would be shown.
    const least = faults ? MINUTES / 5 : MINUTES - 5
    assert.ok(samples.length > 10 && samples.at(-1)!.checkpoints > least, `${samples.at(-1)?.checkpoints} checkpoints`)
    const most = samples.reduce((a, b) => (a.total / a.live > b.total / b.live ? a : b))
    t.diagnostic(`at most ${(most.total / most.live).toFixed(2)} times: ${JSON.stringify(most)}`)
    assert.ok(most.total <= 2 * most.live, JSON.stringify(most))
  })
