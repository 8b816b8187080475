import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeChannelState } from '../../runtime/checkpoint/channel-state.ts'
import { decodeManifest, encodeManifest, type Manifest } from '../../runtime/checkpoint/manifest.ts'
import { BrokenLogError } from '../../runtime/protocol/errors.ts'
import { decodeItem } from '../../runtime/protocol/item.ts'
import { manifestFault } from '../../runtime/savepoint/manifest-fault.ts'
import { SnapshotError } from '../../runtime/snapshot/error.ts'
import { decodeIndex, encodeIndex } from '../../runtime/snapshot/segment-index.ts'
import { pack } from '../../runtime/state/codec.ts'
import { SHAPE } from '../fuzz/shop.ts'

/** Each found by test/fuzz: bytes that are whole by their checksum, or have none, and hold something else. */
test('a slot of a log, channel state and an index that are none are refused by name', () => {
  for (const bytes of [Buffer.of(0xc4, 9, 1), pack({ kind: 'commit', attempt: 'a', prev: '' }), pack(null)])
    assert.throws(() => decodeItem(bytes), BrokenLogError)
  for (const bytes of [Buffer.of(0xdd, 255, 255, 255, 255), pack([{ data: 'x', from: 0, to: 1 }]), pack({})])
    assert.throws(() => decodeChannelState(bytes, 'it'), { name: 'SnapshotError', message: /^channel state it is damaged/ })
  assert.throws(() => decodeIndex(encodeIndex({ blocks: [], filter: new Uint8Array() }), 'it'), SnapshotError)
})

test('of a manifest that is another one by its fields, the first of them is told', () => {
  const manifest: Manifest = {
    pipeline: 'p',
    run: 'r',
    checkpoint: 1,
    createdAt: 1,
    shape: JSON.stringify(SHAPE),
    splits: { visits: ['0'] },
    subtasks: [],
  }
  assert.equal(manifestFault(decodeManifest(encodeManifest(manifest), 'it')), undefined)
  const subtask = { stage: 0, shard: 0, log: 'l', version: 1, attempt: 'a', channelState: [], runs: [] }
  const operators = '{"keyGroups":8,"stages":[{"id":"s","operators":[{}],"inputs":[]}]}'
  for (const [change, field] of [
    [{ splits: { visits: 3 } }, 'splits.visits'],
    [{ createdAt: Number.NaN }, 'createdAt'],
    [{ subtasks: [subtask] }, 'subtasks[0].head'],
    [{ shape: '{' }, 'shape'],
    [{ shape: operators }, 'shape.stages[0].operators[0].id'],
  ] as const)
    assert.equal(manifestFault({ ...manifest, ...change }), field)
})
