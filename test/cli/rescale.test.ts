import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { directoryWith, MILLRACE, millrace } from './cli.ts'

const SUMS = `
import { monotonous, ndjson, pipeline, print, value } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'
const app = pipeline('sums')
app.source('events', ndjson(z.object({ n: z.number() })), { time: e => e.n, watermark: monotonous() })
  .keyBy(e => e.n % 10)
  .process({
    state: { sum: value<number>() },
    onRecord(e, ctx) {
      const sum = (ctx.state.sum.get() ?? 0) + 1
      ctx.state.sum.set(sum)
      return [{ key: ctx.key, sum }]
    },
  })
  .sink('sums', print())
export default app
`
const PER_STEP = 100
const lines = (step: number) =>
  Array.from({ length: PER_STEP }, (_, i) => `${JSON.stringify({ n: step * PER_STEP + i })}\n`).join('')

test('a run is rescaled from 2 to 8 and on to 3 by another process, while records flow (F)', {
  timeout: 120_000,
}, async () => {
  const cwd = directoryWith({ 'sums.ts': SUMS })
  const results = () =>
    existsSync(join(cwd, 'o/sums.ndjson')) ? readFileSync(join(cwd, 'o/sums.ndjson'), 'utf8').trim().split('\n') : []
  const args = 'run sums.ts --source events=- --out o --state s --parallelism 2 --checkpoint 50ms'.split(' ')
  const child = spawn(process.execPath, [MILLRACE, ...args], { cwd, stdio: ['pipe', 'ignore', 'inherit'] })
  const closed = new Promise(resolve => child.on('close', resolve))
  after(() => child.kill('SIGKILL'))
  const feed = async (step: number) => {
    child.stdin.write(lines(step))
    while (results().length !== (step + 1) * PER_STEP) await sleep(20)
  }
  await feed(0)
  const wider = await millrace('rescale --state s --parallelism 8'.split(' '), { cwd })
  assert.equal(wider.code, 0, wider.err)
  assert.match(wider.out, /^process-\w+: 2 → 8 subtasks\nkeys stood still for \d+ ms on average, \d+ ms at most; /)
  await feed(1)
  const back = JSON.parse((await millrace('rescale --state s --parallelism 3 --json'.split(' '), { cwd })).out)
  assert.deepEqual([back.stages[0].from, back.stages[0].to], [8, 3])
  await feed(2)
  const same = await millrace('rescale --state s --parallelism 3'.split(' '), { cwd })
  assert.equal(same.out, 'every stage has as many subtasks already\n')
  const got = await millrace(['state', 'get', 's', back.stages[0].id, '7'], { cwd })
  assert.match(got.out, /\b30\b/, got.err)
  child.stdin.end(lines(3))
  assert.equal(await closed, 0)
  const last = new Map<number, number>()
  for (const { key, sum } of results().map(line => JSON.parse(line))) {
    assert.equal(sum, (last.get(key) ?? 0) + 1, 'each sum once, and in order')
    last.set(key, sum)
  }
  assert.deepEqual([...last.values()], Array(10).fill(40))
})

test('a directory that no run is at work on is told by name, and what is missing', async () => {
  const cwd = directoryWith({ 'sums.ts': SUMS })
  const missing = await millrace('rescale --parallelism 3'.split(' '), { cwd })
  assert.deepEqual([missing.code, /needs --state DIR/.test(missing.err)], [2, true])
  await millrace('run sums.ts --source events=- --out o --state s'.split(' '), { cwd, input: lines(0) })
  const idle = await millrace('rescale --state s --parallelism 3'.split(' '), { cwd })
  assert.equal(idle.code, 2)
  assert.match(idle.err, /no run is at work on s: start it with millrace run FILE --state s/)
})
