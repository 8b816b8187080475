import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ChangesRef } from '../../runtime/checkpoint/changes.ts'
import { materialise } from '../../runtime/checkpoint/materialise.ts'
import type { RunMeta } from '../../runtime/checkpoint/run-meta.ts'
import { CHANGE_BYTES, waitingBytes } from '../../runtime/checkpoint/waiting.ts'
import { lastCuts } from '../../runtime/inspect/checkpoints.ts'
import { stagesOf } from '../../runtime/inspect/stages.ts'
import type { Ports } from '../../runtime/ports.ts'
import { FrameWriter } from '../../runtime/protocol/frame.ts'
import { dice } from '../../runtime/sim/random.ts'
import { applyState, forEachChange } from '../../runtime/state/changelog.ts'
import { entryBytes } from '../../runtime/state/eviction.ts'
import { KeyedState } from '../../runtime/state/keyed-state.ts'
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

test('a checkpoint folds when more memory waits than may: each entry counts once, and is counted when there may be too many', async () => {
  const kept = async (waitingMax: number) => {
    const { h, feed, checkpoint } = await openTexts()
    const { read, ports } = watched(h.ports)
    const all: (readonly ChangesRef[])[] = []
    for (const rows of [30, 60, 90, 120]) {
      await feed(rows)
      all.push((await checkpoint({ ...KEPT, waitingMax }, ports)).changes!)
    }
    const counted = all.at(-1)!.map(c => c.waiting !== undefined)
    return { refs: all.map(c => c.length), counted, reads: read.filter(key => key.includes('-changes-')).length }
  }
  // Four keys with 3,000 characters each, but where one is clear; 30 changes between two checkpoints.
  assert.deepEqual(await kept(15_000), { refs: [1, 2, 3, 4], counted: [true, true, true, true], reads: 1 + 2 + 3 })
  const twice = { refs: [1, 2, 3, 4], counted: [false, true, false, true], reads: 1 + 3 }
  assert.deepEqual(await kept(14_624 + 30 * CHANGE_BYTES), twice)
  assert.deepEqual(await kept(1e9), { refs: [1, 2, 3, 4], counted: [false, false, false, false], reads: 0 })
  assert.deepEqual((await kept(11_000)).refs, [0, 0, 0, 0])
})

test('what waits is about as much as a cold function has that replays it, with what was deleted', async () => {
  const random = dice(3)
  const declarations = [
    { name: 'last', primitive: 'value' },
    { name: 'panes', primitive: 'map' },
  ] as const
  const writer = new FrameWriter()
  const state = new KeyedState(declarations)
  const chunks: Uint8Array[] = []
  for (let n = 1; n <= 20; n++) {
    for (let i = 0; i < 50; i++) {
      const [key, subkey] = [`k${random.below(40)}`, random.below(30)]
      const kind = random.below(3) === 0 ? 3 : 0
      const text = 'x'.repeat(random.below(100))
      if (random.below(4) === 0) writer.record(0, kind === 3 ? null : text, 0, key, kind)
      else writer.record(1, { k: subkey, ...(kind === 0 && { v: { text } }) }, 0, key, kind)
    }
    const tag = { run: 'r', producer: 0, version: n, attempt: 'a'.repeat(16), index: 1, predVersion: 0, predIndex: 0 }
    chunks.push(writer.finish(tag))
  }
  for (const chunk of chunks) forEachChange(chunk, change => applyState(state, change.state as number, change, 1))
  const entries = [...state.entries.values()]
  const held = entries.reduce((sum, entry) => sum + entryBytes(entry, declarations), 0)
  const all = async function* () {
    yield* chunks
  }
  const waiting = await waitingBytes({ operators: [{ run: 'r', operatorId: 'o', subtask: 0, states: declarations }] }, all(), 1e9)
  assert.ok(waiting >= held && waiting < 1.5 * held, `${waiting} for ${held}`)
  const some = await waitingBytes({ operators: [{ run: 'r', operatorId: 'o', subtask: 0, states: declarations }] }, all(), 1000)
  assert.ok(some > 1000 && some < 2000, `${some}`)
})
