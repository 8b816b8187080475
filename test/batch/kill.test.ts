import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { directoryWith, MILLRACE, millrace } from '../cli/cli.ts'

const PIPELINE = `
import { appendFileSync } from 'node:fs'
import { boundedOutOfOrderness, count, customSink, ndjson, pipeline, tumbling } from 'millrace'
const any = { '~standard': { version: 1, vendor: 'test', validate: value => ({ value }) } }
const app = pipeline('views')
const views = app.source('views', ndjson(any), { time: v => v.at, watermark: boundedOutOfOrderness('10s') })
const counts = views
  .keyBy('item')
  .window(tumbling('1s'))
  .aggregate(count(), (views, { key, window }) => ({ item: key, until: window.end, views }))
counts.sink("counts", customSink({ name: "none", open: () => ({ write() {} }) }))
// Sends with each commit, and stages nothing.
counts.sink('sent', customSink({
  name: 'sent',
  open({ subtask }) {
    let rows = []
    return {
      write: row => { rows.push(row) },
      async flush({ run, version }) {
        appendFileSync(process.env.SENT, JSON.stringify({ commit: [run, subtask, version], rows }) + '\\n')
        rows = []
      },
    }
  },
}))
export default app
`

const FILES = 6

function input(): string {
  const cwd = directoryWith({ 'views.ts': PIPELINE, 'in/_': '' })
  for (let file = 0; file < FILES; file++) {
    const lines = Array.from({ length: 4000 }, (_, i) => {
      const at = 1_700_000_000_000 + file * 40_000 + ((i * 7919) % 4000) * 10
      return `${JSON.stringify({ item: `i${(at / 10) % 97}`, at })}\n`
    })
    writeFileSync(join(cwd, `in/${file}.ndjson`), lines.join(''))
  }
  return cwd
}

const command = ['backfill', 'views.ts', '--from', 'in', '--sink', 'counts=counts.ndjson', '--parallelism', '3', '--workers', '2']

function names(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** Starts it, and kills it as soon as `when` holds. False: it was through before. */
async function killed(cwd: string, when: () => boolean, more: readonly string[] = []): Promise<boolean> {
  const env = { ...process.env, SENT: join(cwd, 'sent') }
  const child = spawn(process.execPath, [MILLRACE, ...command, ...more, '--state', 'state'], { cwd, env, stdio: 'ignore' })
  const ended = new Promise<NodeJS.Signals | null>(resolve => child.on('close', (_, signal) => resolve(signal)))
  while (child.exitCode === null && !when()) await sleep(1)
  child.kill('SIGKILL')
  return (await ended) === 'SIGKILL'
}

function rows(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').filter(Boolean).sort()
}

/** What was sent, each commit once: one that came again has to be the same. */
function sentRows(cwd: string): string[] {
  const commits = new Map<string, string>()
  for (const line of rows(join(cwd, 'sent'))) {
    const { commit, rows } = JSON.parse(line)
    const known = commits.get(String(commit))
    assert.ok(known === undefined || known === JSON.stringify(rows), `commit ${commit} came again with other records`)
    commits.set(String(commit), JSON.stringify(rows))
  }
  return [...commits.values()].flatMap(text => JSON.parse(text).map((row: unknown) => JSON.stringify(row))).sort()
}

// Killed between two tasks of a stage, in the middle of the next stage, and while results are sent: what is done stays done, and nothing is lost, doubled or sent under another commit.
test('a backfill that is killed, and started again, goes on with the tasks that are not finished', async () => {
  const clean = input()
  assert.equal((await millrace(command, { cwd: clean, env: { SENT: join(clean, 'sent') } })).code, 0)
  const expected = rows(join(clean, 'counts.ndjson'))
  assert.ok(expected.length > 1000)
  assert.deepEqual(sentRows(clean), expected)

  const cwd = input()
  const state = join(cwd, 'state')
  const done = () => names(join(state, 'done')).filter(name => name.endsWith('.json'))
  const moments = [
    () => done().length >= 2,
    () => done().length >= FILES,
    () => done().length >= FILES + 1,
    () => names(join(state, 'held')).some(name => name.endsWith('.sent.json')),
  ]
  let kills = 0
  const finished = new Map<string, number>()
  for (const moment of moments) {
    if (await killed(cwd, moment)) kills++
    for (const name of done()) {
      const { mtimeMs } = statSync(join(state, 'done', name))
      assert.equal(mtimeMs, finished.get(name) ?? mtimeMs, `${name} was done again`)
      finished.set(name, mtimeMs)
    }
  }
  assert.ok(kills >= 2, `${kills} kills`)
  const last = await millrace([...command, '--state', 'state'], { cwd, env: { SENT: join(cwd, 'sent') } })
  assert.equal(last.code, 0, last.err)
  assert.match(last.out, /resumed/)
  assert.deepEqual(rows(join(cwd, 'counts.ndjson')), expected)
  assert.deepEqual(sentRows(cwd), expected)
  assert.deepEqual(names(join(state, 'spill')), [])
})

// Killed while state is kept, while the savepoint is written, and behind it: a savepoint that holds less, or twice as much, would give other windows.
test('a backfill that ends in a savepoint, killed and started again, leaves one from which the stream goes on', async () => {
  const [whole, cwd] = [input(), input()]
  const sent = (at: string) => ({ cwd: at, env: { SENT: join(at, 'sent') } })
  assert.equal((await millrace(command, sent(whole))).code, 0)
  const thenLive = ['--until', String(1_700_000_000_000 + 130_005), '--then-live', 'savepoint']
  const state = join(cwd, 'state')
  const kept = () => names(join(state, 'staged')).length > 0
  const written = (least: number) => () => names(join(cwd, 'savepoint')).length >= least
  let kills = 0
  for (const moment of [kept, () => names(join(state, 'done')).length > FILES, written(1), written(3)])
    if (await killed(cwd, moment, thenLive)) kills++
  assert.ok(kills >= 2, `${kills} kills`)
  const past = await millrace([...command, ...thenLive, '--state', 'state'], sent(cwd))
  assert.equal(past.code, 0, past.err)
  const before = rows(join(cwd, 'counts.ndjson'))

  const stream = Array.from({ length: FILES }, (_, i) => readFileSync(join(cwd, `in/${i}.ndjson`), 'utf8'))
  // In order of time, as a stream whose watermark may trail by ten seconds has to be.
  const ordered = stream.flatMap(text => text.split('\n').filter(Boolean)).sort((a, b) => JSON.parse(a).at - JSON.parse(b).at)
  writeFileSync(join(cwd, 'stream.ndjson'), ordered.map(line => `${line}\n`).join(''))
  const run = ['run', 'views.ts', '--from-snapshot', 'savepoint', '--source', 'views=stream.ndjson', '--parallelism', '3']
  const live = await millrace([...run, '--sink', 'counts=live.ndjson'], sent(cwd))
  assert.equal(live.code, 0, live.err)
  assert.deepEqual([...before, ...rows(join(cwd, 'live.ndjson'))].sort(), rows(join(whole, 'counts.ndjson')))
})
