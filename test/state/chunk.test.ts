import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REDUCE_STATES, ReduceOperator } from '../../runtime/operators/reduce.ts'
import { FrameWriter } from '../../runtime/protocol/frame.ts'
import { encodeChanges, forEachChange } from '../../runtime/state/changelog.ts'
import { KeyedState } from '../../runtime/state/keyed-state.ts'

const HEADER = { run: 'r', producer: 0, version: 1, attempt: 'a', index: 1, predVersion: 0, predIndex: 0 }

// One firing of many windows changes more state than one frame takes: the commit failed, and the pipeline could never get past it.
test('a commit may change more state than one frame holds', () => {
  const operator = new ReduceOperator<string>((_, b) => b)
  operator.state = new KeyedState(REDUCE_STATES)
  const text = 'x'.repeat(50_000)
  for (let i = 0; i < 200; i++) operator.state.setValue(operator.state.lookup(`k${i}`)!, 0, `${i}${text}`, 0)
  const chunk = encodeChanges(new FrameWriter(), [operator], HEADER)!
  const found: unknown[] = []
  forEachChange(chunk, change => found.push([change.key, change.value]))
  assert.deepEqual(
    found,
    Array.from({ length: 200 }, (_, i) => [`k${i}`, `${i}${text}`]),
  )
  assert.throws(() => forEachChange(chunk.subarray(0, chunk.length - 1), () => {}), /cut/)
})

test('what is kept for a time after its subkey is logged with when it expires, and as long as it is there', () => {
  const operator = new ReduceOperator<string>((_, b) => b)
  const state = new KeyedState([{ name: 'kept', primitive: 'map', load: 'all', keptMs: 500 }])
  operator.state = state
  const entry = state.lookup('k')!
  for (const at of [1000, 2000]) state.mapSet(entry, 0, at, `v${at}`, 0)
  state.peek(entry, 0)!.entries.delete(1000) // expired before it was logged
  const found: unknown[] = []
  forEachChange(encodeChanges(new FrameWriter(), [operator], HEADER)!, change =>
    found.push([change.value, change.timestamp, change.created]),
  )
  assert.deepEqual(found, [[{ k: 2000, v: 'v2000' }, 2500, true]])
})
