import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'node:test'

const BENCH = join(import.meta.dirname, '../../bench/large-state.ts')

/** 60,000 keys, each met twice, with 4 MB for state: far less than they take. The bench runs two million under 512 MB. */
for (const variant of ['reduce', 'map', 'window']) {
  test(`state larger than the memory given to it: ${variant}`, { timeout: 1_200_000 }, () => {
    const run = spawnSync(process.execPath, ['--max-old-space-size=96', BENCH, variant, '60000', '4'], { encoding: 'utf8' })
    assert.equal(run.status, 0, run.stderr.slice(-1000))
    assert.equal(JSON.parse(run.stdout).right, true)
  })
}
