import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { INTERVAL_JOIN_STATES } from '../../runtime/operators/interval-join.ts'
import { markCommitted } from '../../runtime/state/changelog.ts'
import { KeyedState } from '../../runtime/state/keyed-state.ts'
import { TimeBuffer } from '../../runtime/state/time-buffer.ts'

const at = fc.integer({ min: 0, max: 12 })
const value = fc.oneof(
  fc.record({ id: fc.nat(9) }),
  fc.record({ id: fc.nat(9), nested: fc.record({ n: fc.nat(9) }) }),
  fc.array(fc.nat(9), { maxLength: 2 }),
  fc.constantFrom(undefined, null, 'text', 7),
)
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), at, value }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('range' as const), at, to: at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('commit' as const), fresh: fc.boolean() }) },
)

test('a time buffer is a list in order of time, then of arrival, whatever is committed and loaded again in between', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const state = new KeyedState(INTERVAL_JOIN_STATES)
      let buffer = new TimeBuffer<unknown>(state, 0)
      let model: { at: number; value: unknown }[] = []
      for (const step of steps) {
        const entry = state.lookup('key')!
        if (step.do === 'add') {
          buffer.add(entry, step.at, step.value)
          model.push({ at: step.at, value: step.value })
          model.sort((a, b) => a.at - b.at)
        } else if (step.do === 'range') {
          const found: { at: number; value: unknown }[] = []
          buffer.range(entry, step.at, step.to, (value, at) => {
            const copy = buffer.copy(value)
            if (typeof value === 'object' && value !== null) assert.notEqual(copy, value, 'a copy')
            if (typeof value === 'object' && value !== null && 'nested' in value)
              assert.notEqual((copy as any).nested, value.nested)
            found.push({ at, value: copy })
          })
          assert.deepEqual(
            found,
            model.filter(v => v.at >= step.at && v.at <= step.to),
          )
        } else if (step.do === 'remove') {
          buffer.removeThrough(entry, step.at)
          model = model.filter(v => v.at > step.at)
        } else {
          markCommitted([{ state, eventTimers: { changes: [] }, processingTimers: { changes: [] } } as any], 1)
          if (!step.fresh) continue
          // As when the key is loaded again: its order is not known.
          if (state.peek(entry, 0) !== undefined) state.peek(entry, 0)!.order = undefined
          buffer = new TimeBuffer(state, 0)
        }
      }
      assert.equal(state.entries.size > 0 || model.length === 0, true)
    }),
  )
})
