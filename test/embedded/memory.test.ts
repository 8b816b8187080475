import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { noise } from '../conformance/data.ts'

const module = join(import.meta.dirname, '../../runtime/embedded/ports.ts')
const run = promisify(execFile)

test('state in memory may be larger than the heap of V8', async () => {
  const program = `
    import { openEmbedded } from ${JSON.stringify(module)}
    const ports = await openEmbedded()
    const value = new Uint8Array(10_000)
    for (let i = 0; i < 250; i++)
      await ports.store.upsert(Array.from({ length: 100 }, (_, j) => ({ pk: 'p', sk: i + '/' + j, v: 1, value })))
    const found = await ports.store.range('p', '9', 'z', 10)
    console.log(found.length, found[0].value.length)`
  const { stdout, stderr } = await run(process.execPath, [
    '--max-old-space-size=48',
    '--input-type=module-typescript',
    '-e',
    program,
  ])
  assert.equal(stdout, '10 10000\n')
  assert.equal(stderr, '', 'no warning of node:sqlite either')
})

// Without a turn of the event loop now and then, a pipeline under load would never see its timers, its sockets or SIGINT.
test('timers fire while calls keep coming', async () => {
  const ports = await openEmbedded()
  let fired = false
  setTimeout(() => {
    fired = true
  }, 1)
  const deadline = Date.now() + 60_000
  for (let i = 1; !fired && Date.now() < deadline; i++) await ports.log.putIfAbsent('l', i, noise(10))
  assert.ok(fired)
  await ports.close()
})

test('a key without UTF-8 is refused, since it would be found as another', async () => {
  const ports = await openEmbedded()
  await assert.rejects(ports.store.upsert([{ pk: 'p', sk: 'x\ud800', v: 1, value: undefined }]), { name: 'PortArgumentError' })
  await assert.rejects(ports.streams.poll('s', 0, 'x', 1), { name: 'PortArgumentError' })
  await ports.close()
})

test('stats count calls and payload bytes', async () => {
  const ports = await openEmbedded()
  await ports.streams.put('s', 0, noise(100))
  await ports.streams.poll('s', 0, undefined, 10)
  await ports.streams.poll('s', 0, undefined, 10)
  const stats = ports.stats()
  assert.equal(stats['streams.put.calls'], 1)
  assert.equal(stats['streams.put.bytes'], 100)
  assert.equal(stats['streams.poll.calls'], 2)
  assert.equal(stats['streams.poll.bytes'], 200)
  await ports.close()
})

test('more rows than one transaction takes are all written, and other work is done between two', async () => {
  const ports = await openEmbedded()
  let turns = 0
  const turn = () => {
    turns++
    timer = setImmediate(turn)
  }
  let timer = setImmediate(turn)
  const items = Array.from({ length: 45_001 }, (_, i) => ({ pk: 'p', sk: String(i), v: 1, value: undefined }))
  await ports.store.upsert(items)
  clearImmediate(timer)
  assert.equal((await ports.store.range('p', '', 'z', 50_000)).length, items.length)
  assert.ok(turns >= 2, `${turns}`)
  await ports.close()
})
