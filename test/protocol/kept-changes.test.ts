import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { materialise } from '../../runtime/checkpoint/materialise.ts'
import type { RunMeta } from '../../runtime/checkpoint/run-meta.ts'
import { lastCuts } from '../../runtime/inspect/checkpoints.ts'
import { stagesOf } from '../../runtime/inspect/stages.ts'
import type { Ports } from '../../runtime/ports.ts'
import { FOLDED, KEPT, openTexts } from './texts.ts'

/** Ports that say what is read of the bucket, after `before` has been called. */
function watched(ports: Ports, before: (key: string) => Promise<void> = async () => {}) {
  const read: string[] = []
  const get = async (key: string) => {
    await before(key)
    read.push(key)
    return ports.blobs.get(key)
  }
  return { read, ports: { ...ports, blobs: { ...ports.blobs, get } } }
}

const chunksIn = (read: readonly string[]) => read.filter(key => key.startsWith('chunks/')).length

describe('a cold start far behind', () => {
  test('reads what the checkpoints keep, and of the log what came since', async () => {
    const { h, feed, checkpoint, expected, asked } = await openTexts()
    for (const rows of [30, 60, 90]) {
      await feed(rows)
      await checkpoint(KEPT)
    }
    await feed(100)
    const { read, ports } = watched(h.ports)
    assert.deepEqual(await asked(ports), expected())
    assert.equal(chunksIn(read), 10 - 1) // one of them clears, in some bytes
    assert.equal(read.filter(key => key.includes('-changes-')).length, 3)
  })

  test('does so over what the base has, which may be more than the checkpoint folded', async () => {
    const { h, stage, feed, checkpoint, expected, asked } = await openTexts()
    await feed(20)
    await checkpoint(FOLDED)
    await feed(110)
    await checkpoint(KEPT)
    // A fold that got as far as here and died: the marker is between what the checkpoint folded and its cut.
    const cut = (await stage.ready()).head.version
    await materialise(h.topology, stage.at, 0, cut - 80, h.ports)
    await feed(120)
    const { read, ports } = watched(h.ports)
    assert.deepEqual(await asked(ports), expected())
    assert.ok(chunksIn(read) <= 10, `${chunksIn(read)}`)
  })

  test('E2: has no state of its future, when a checkpoint comes in between', async () => {
    const { h, feed, checkpoint } = await openTexts()
    await feed(80)
    await checkpoint(KEPT)
    await feed(90)
    let came = false
    const range: Ports['log']['range'] = async (log, ...rest) => {
      if (!came && log.endsWith('/decisions')) {
        came = true
        await feed(100)
        await checkpoint(KEPT)
      }
      return h.ports.log.range(log, ...rest)
    }
    const cold = h.environment(1, 0, { ports: { ...h.ports, log: { ...h.ports.log, range } } })
    const { head, chain } = await cold.ready()
    assert.ok(came)
    for (const { key, version } of chain.keyed[0]!.state.entries.values()) assert.ok(version <= head.version, `${key}`)
  })

  test('starts over when what it was reading has been folded and swept', async () => {
    const { h, feed, checkpoint, expected, asked } = await openTexts()
    await feed(90)
    await checkpoint(KEPT)
    await feed(95)
    let came = false
    const { ports } = watched(h.ports, async key => {
      if (came || !key.includes('-changes-')) return
      came = true
      for (let i = 0; i < 4; i++) await checkpoint(FOLDED)
    })
    assert.deepEqual(await asked(ports), expected())
    assert.ok(came)
  })

  test('names what is gone though the last checkpoint needs it', async () => {
    const { h, feed, checkpoint, asked } = await openTexts()
    await feed(90)
    await checkpoint(KEPT)
    const [changes] = (await h.ports.blobs.list('segments/')).filter(key => key.includes('-changes-'))
    await h.ports.blobs.delete(changes!)
    await assert.rejects(asked(h.ports), { name: 'SnapshotError', message: /the changes segments.* are gone/ })
  })
})

test('a look at the stages reads the log from the last cut, and then from what it saw', async () => {
  const { h, feed, checkpoint } = await openTexts()
  await feed(60)
  await checkpoint(KEPT)
  await feed(70)
  const { run, shape } = h.topology
  const meta = { run, shape, splits: { rows: ['rows'] }, snapshots: true } as unknown as RunMeta
  let read = 0
  const range: Ports['log']['range'] = async (...args) => {
    const slots = await h.ports.log.range(...args)
    read += slots.length
    return slots
  }
  const log = { ...h.ports.log, range }
  const whole = await stagesOf(log, meta)
  assert.ok(read > 60, `${read}`)
  const seen = await lastCuts(h.ports, meta)
  read = 0
  assert.deepEqual(await stagesOf(log, meta, seen), whole)
  assert.equal(read, 20)
  assert.deepEqual(await stagesOf(log, meta, seen), whole)
  assert.equal(read, 20)
})

test('a checkpoint folds when there are more bytes, changes, commits or checkpoints than it may keep, and then keeps again', async () => {
  const none = { ...KEPT, changesMax: 1e9, slotsMax: 1e9 }
  for (const limits of [
    { ...none, bytesMax: 100_000 },
    { ...none, changesMax: 50 },
    { ...none, slotsMax: 55 },
    { ...none, checkpointsMax: 1 },
  ]) {
    const { feed, checkpoint } = await openTexts()
    const kept: number[] = []
    for (const rows of [30, 60, 90]) {
      await feed(rows)
      kept.push((await checkpoint(limits)).changes!.length)
    }
    assert.deepEqual(kept, [1, 0, 1], JSON.stringify(limits))
  }
})
