import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { directoryWith, MILLRACE, millrace } from './cli.ts'

const TOTALS = `
import { monotonous, ndjson, pipeline, print } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'
const Event = z.object({ id: z.union([z.string(), z.number()]), n: z.number() })
const app = pipeline('totals')
app.source('events', ndjson(Event), { time: e => e.n, watermark: monotonous() })
  .keyBy(e => e.id)
  .reduce((a, b) => ({ id: a.id, n: a.n + b.n }))
  .uid('total')
  .sink('totals', print())
export default app
`

test('checkpoints and state of a directory that a run left', async () => {
  const events = [
    ['u1', 1],
    ['u1', 2],
    [42, 5],
    ['7', 9],
  ]
    .map(([id, n]) => JSON.stringify({ id, n }))
    .join('\n')
  const cwd = directoryWith({ 'totals.ts': TOTALS, 'events.ndjson': events })
  const ran = await millrace(['run', 'totals.ts', '--source', 'events=events.ndjson', '--out', 'o', '--state', 's'], { cwd })
  assert.equal(ran.code, 0, ran.err)

  const listed = await millrace(['checkpoints', 's'], { cwd })
  assert.match(listed.out, /^n +status +kept +started +took +size +reason\n1 +complete +yes +20\d\d-.*Z +\d+/)
  const json = JSON.parse((await millrace(['checkpoints', 's', '--json'], { cwd })).out)
  assert.deepEqual([json[0].n, json[0].status], [1, 'complete'])

  const totalOf = async (key: string) => {
    const { code, out, err } = await millrace(['state', 'get', 's', 'total', key], { cwd })
    return code === 0 ? JSON.parse(out).value.n : [code, err]
  }
  assert.equal(await totalOf('u1'), 3)
  assert.equal(await totalOf('42'), 5)
  assert.equal(await totalOf('7'), 9)
  assert.deepEqual(await totalOf('u2'), [1, 'millrace: total keeps nothing for the key u2\n'])
  const broadcast = await millrace(['state', 'get', 's', 'total', '--broadcast'], { cwd })
  assert.deepEqual([broadcast.code, broadcast.err], [1, 'millrace: total keeps no broadcast state\n'])
  for (const args of [
    ['state', 'get', 's', 'totl', 'u1'],
    ['state', 'get', 's', 'total', 'u1', '--state', 'none'],
    ['state', 'get', 's', 'total', 'u1', '--broadcast'],
    ['state', 'get', 's', 'total'],
    ['checkpoints', '.'],
  ]) {
    const { code, out, err } = await millrace(args, { cwd })
    assert.deepEqual([code, out], [2, ''], err)
    assert.match(err, /^millrace: [^\n]+\n$/)
  }
})

test('checkpoints and state can be read while a run is on, and after it was killed, without a trace', {
  timeout: 600_000,
}, async () => {
  const cwd = directoryWith({ 'totals.ts': TOTALS })
  const run = ['run', 'totals.ts', '--source', 'events=-', '--out', 'o', '--state', 's', '--checkpoint', '50ms']
  const child = spawn(process.execPath, [MILLRACE, ...run], { cwd, stdio: ['pipe', 'ignore', 'inherit'] })
  const closed = new Promise(resolve => child.on('close', resolve))
  after(() => child.kill('SIGKILL'))
  const total = async () => {
    const { code, out, err } = await millrace(['state', 'get', 's', 'total', 'u1'], { cwd })
    assert.ok(
      code === 0 || existsSync(join(cwd, 's')) === false || /keeps nothing|holds no run|no state directory/.test(err),
      err,
    )
    return code === 0 ? JSON.parse(out).value.n : 0
  }
  const until = async (wanted: number) => {
    for (let tries = 0; (await total()) !== wanted; tries++) assert.ok(tries < 1000, `${wanted} has not come`)
  }
  child.stdin.write('{"id":"u1","n":1}\n')
  await until(1)
  child.stdin.write('{"id":"u1","n":20}\n')
  await until(21)
  const { code, out } = await millrace(['checkpoints', 's', '--json'], { cwd })
  assert.equal(code, 0)
  assert.ok(JSON.parse(out).length >= 2)
  assert.equal(child.exitCode, null, 'the run goes on')
  child.stdin.write('{"id":"u1","n":300}\n')
  await until(321)
  child.kill('SIGKILL')
  await closed
  await sleep(50)
  const files = () => readdirSync(join(cwd, 's')).sort()
  const before = files()
  assert.equal(await total(), 321, 'of what the killed process left in its log')
  assert.deepEqual(files(), before)
})

test('what is no state directory is not made one by looking at it', async () => {
  const cwd = directoryWith({ 'totals.ts': TOTALS, 'events.ndjson': '' })
  const run = ['run', 'totals.ts', '--source', 'events=events.ndjson', '--out', 'o']
  for (const args of [
    ['checkpoints', '.'],
    ['state', 'get', '.', 'total', 'u1'],
    [...run, '--from-snapshot', '.'],
  ]) {
    const { code, err } = await millrace(args, { cwd })
    assert.deepEqual([code, err], [2, 'millrace: . holds no run: no millrace run --state has used it\n'])
    assert.deepEqual(readdirSync(cwd).sort(), ['events.ndjson', 'totals.ts'])
  }
})

test('a state directory that can not be gone on from is a wrong argument, told in one sentence', async () => {
  const cwd = directoryWith({ 'totals.ts': TOTALS, 'events.ndjson': '{"id":"u1","n":1}\n' })
  const run = ['run', 'totals.ts', '--source', 'events=events.ndjson', '--out', 'o', '--state', 's']
  assert.equal((await millrace(run, { cwd })).code, 0)
  const refused = async (args: readonly string[], sentence: RegExp) => {
    const { code, out, err } = await millrace(args, { cwd })
    assert.deepEqual([code, out], [2, ''], err)
    assert.match(err, /^millrace: [^\n]+\n$/)
    assert.match(err, sentence)
  }
  await refused([...run, '--parallelism', '200'], /a parallelism of 200, but there are only 128 key groups/)
  writeFileSync(join(cwd, 'totals.ts'), TOTALS.replace("uid('total')", "uid('sum')"))
  await refused(run, /nothing in 'totals' takes over any more: reduced of total/)
  writeFileSync(join(cwd, 'totals.ts'), TOTALS.replace("pipeline('totals')", "pipeline('others')"))
  await refused(run, /belongs to pipeline 'totals', not 'others'/)
  writeFileSync(join(cwd, 'totals.ts'), TOTALS)
  const holder = await openEmbedded({ directory: join(cwd, 's') })
  try {
    await refused(run, /is in use by process/)
  } finally {
    await holder.close()
  }
  writeFileSync(join(cwd, 's', 'state.db'), 'no database at all, but long enough to be one'.repeat(500))
  for (const args of [run, ['checkpoints', 's']]) await refused(args, /corrupt|not a Millrace store/)
})
