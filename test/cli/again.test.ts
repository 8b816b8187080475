import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { directoryWith, MILLRACE, millrace } from './cli.ts'

const ALL = `
import { monotonous, ndjson, pipeline, print } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'
const app = pipeline('all')
app.source('events', ndjson(z.object({ n: z.number() })), { time: e => e.n, watermark: monotonous() }).sink('all', print())
export default app
`
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${JSON.stringify({ n: from + i })}\n`).join('')

const NOTHING =
  /^all finished \(resumed\) after [^\n]*\n {2}nothing was read: the input had already ended, in the run that this one goes on from\n/

test('a finished run that is started again says that nothing was read, and what has changed in its input since', async () => {
  const cwd = directoryWith({ 'all.ts': ALL, 'a.ndjson': lines(0, 100) })
  writeFileSync(join(cwd, 'b.gz'), gzipSync(lines(100, 200)))
  const args = 'run all.ts --source events=a.ndjson --source events=b.gz --out o --state s'.split(' ')
  const first = await millrace(args, { cwd })
  assert.match(first.out, /^all finished after [^\n]*\n {2}events {8}200 \(/)
  const results = readFileSync(join(cwd, 'o/all.ndjson'), 'utf8')
  const again = await millrace(args, { cwd })
  assert.equal(again.code, 0, again.err)
  assert.match(again.out, NOTHING)
  assert.match(again.out, /events {8}200 since the run began, 0 in this process/)
  assert.match(again.out, /results {7}200 since the run began, 0 in this process/)
  assert.doesNotMatch(again.out, /not read: /)

  appendFileSync(join(cwd, 'a.ndjson'), lines(200, 210))
  writeFileSync(join(cwd, 'b.gz'), Buffer.concat([gzipSync(lines(100, 200)), gzipSync('{"n":9}\n')]))
  const longer = await millrace(args, { cwd })
  assert.equal(longer.code, 0)
  assert.match(longer.out, NOTHING)
  assert.match(longer.out, /not read: a\.ndjson \(source events\) has changed since .*: it has 100 bytes more\n/)
  assert.match(longer.out, /not read: b\.gz .*: it has 8 bytes more\n/)
  assert.match(longer.out, /\(a new run, in another state directory or in none, and from no snapshot, reads everything\)\n/)

  writeFileSync(join(cwd, 'a.ndjson'), lines(0, 10))
  const json = JSON.parse((await millrace([...args, '--json'], { cwd })).out)
  assert.deepEqual([json.nothingToRead, json.endedBefore.length, json.events, json.total.events], [true, 2, 0, 200])
  assert.deepEqual(json.unread[0], { source: 'events', split: 'a.ndjson', change: 'it has become 810 bytes shorter' })
  assert.equal(readFileSync(join(cwd, 'o/all.ndjson'), 'utf8'), results)
})

test('of a run that goes on, the summary has what came in all and in this process, and a changed file that had ended', {
  timeout: 600_000,
}, async () => {
  const cwd = directoryWith({ 'all.ts': ALL, 'a.ndjson': lines(0, 50) })
  const args = 'run all.ts --source events=a.ndjson --source events=- --out o --state s --checkpoint 50ms'.split(' ')
  const child = spawn(process.execPath, [MILLRACE, ...args], { cwd, stdio: ['pipe', 'ignore', 'inherit'] })
  const closed = new Promise(resolve => child.on('close', resolve))
  after(() => child.kill('SIGKILL'))
  const written = () => existsSync(join(cwd, 'o/all.ndjson')) && readFileSync(join(cwd, 'o/all.ndjson'), 'utf8').length
  for (let tries = 0; written() !== lines(0, 50).length; tries++) {
    assert.ok(tries < 15_000, 'nothing was written')
    await sleep(20)
  }
  child.kill('SIGKILL')
  await closed
  appendFileSync(join(cwd, 'a.ndjson'), lines(50, 51))
  const { code, out, err } = await millrace(args, { cwd, input: lines(60, 67) })
  assert.equal(code, 0, err)
  assert.doesNotMatch(out, /nothing was read/)
  assert.match(out, /not read: a\.ndjson .*: it has 9 bytes more\n/)
  assert.match(out, /events {8}57 since the run began, 7 in this process/)
  assert.match(out, /sink all: 7 records in this process to o\/all\.ndjson/)
})
