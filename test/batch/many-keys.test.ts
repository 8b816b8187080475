import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'node:test'
import { scratch } from '../engine/events.ts'

const CHILD = join(import.meta.dirname, 'children/many-keys.ts')

// 60,000 keys of about 1,900 bytes each would take 114 MB, of a heap of 96 MB in which the records to merge and the code lie as well.
test('keys that do not fit in memory', { timeout: 600_000 }, t => {
  const run = spawnSync(process.execPath, ['--max-old-space-size=96', CHILD, scratch(t), '60000'], { encoding: 'utf8' })
  assert.equal(run.status, 0, run.stderr.slice(-1000))
  assert.deepEqual(JSON.parse(run.stdout), { rows: 120_000, wrong: 0 })
})
