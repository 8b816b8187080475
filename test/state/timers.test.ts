import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { KeyPart } from '../../runtime/graph/key.ts'
import { compareParts, type TimerChange, Timers } from '../../runtime/state/timers.ts'

type Step = { do: 'set' | 'delete'; at: number; key: KeyPart; tag: KeyPart } | { do: 'fire'; upTo: number }

const time = fc.integer({ min: -5, max: 20 })
const part = fc.oneof(fc.constantFrom<KeyPart>('a', 'b', '1', 1, 2, -1), fc.integer({ min: 0, max: 3 }))
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('set' as const), at: time, key: part, tag: fc.constantFrom<KeyPart>('', 'x', 7) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('delete' as const), at: time, key: part, tag: fc.constantFrom<KeyPart>('', 'x', 7) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fire' as const), upTo: time }) },
)

/** The definition: a set of (time, key, tag), fired in order. */
class Model {
  timers: { at: number; key: KeyPart; tag: KeyPart }[] = []
  private find(at: number, key: KeyPart, tag: KeyPart) {
    return this.timers.findIndex(t => t.at === at && t.key === key && t.tag === tag)
  }
  set(at: number, key: KeyPart, tag: KeyPart): boolean {
    if (this.find(at, key, tag) >= 0) return false
    this.timers.push({ at, key, tag })
    return true
  }
  delete(at: number, key: KeyPart, tag: KeyPart): boolean {
    const i = this.find(at, key, tag)
    if (i >= 0) this.timers.splice(i, 1)
    return i >= 0
  }
  fire(upTo: number) {
    const due = this.timers.filter(t => t.at <= upTo)
    this.timers = this.timers.filter(t => t.at > upTo)
    return due.sort((a, b) => a.at - b.at || compareParts(a.key, b.key) || compareParts(a.tag, b.tag))
  }
}

function fire(timers: Timers, upTo: number) {
  const fired: { at: number; key: KeyPart; tag: KeyPart }[] = []
  while (timers.size > 0 && timers.next <= upTo) {
    const at = timers.next
    for (const { key, tag } of timers.due(at)) {
      timers.delete(at, key, tag)
      fired.push({ at, key, tag })
    }
  }
  return fired
}

test('timers are a set of (time, key, tag) that fires in order of time, then key, then tag', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const timers = new Timers()
      const model = new Model()
      for (const s of steps) {
        if (s.do === 'fire') assert.deepEqual(fire(timers, s.upTo), model.fire(s.upTo))
        else assert.equal(timers[s.do](s.at, s.key, s.tag), model[s.do](s.at, s.key, s.tag))
        assert.equal(timers.size, model.timers.length)
        assert.equal(timers.next, Math.min(Number.POSITIVE_INFINITY, ...model.timers.map(t => t.at)))
      }
      assert.deepEqual(fire(timers, Number.POSITIVE_INFINITY), model.fire(Number.POSITIVE_INFINITY))
    }),
    { numRuns: 500 },
  )
})

test('the changes of any prefix, replayed, give the same timers: what a cold environment does with the log', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, cut) => {
      const timers = new Timers()
      const log: TimerChange[] = []
      steps.forEach((s, i) => {
        if (s.do === 'fire') fire(timers, s.upTo)
        else timers[s.do](s.at, s.key, s.tag)
        if (i === cut) {
          log.push(...timers.changes)
          timers.changes = []
        }
      })
      log.push(...timers.changes)
      const restored = new Timers()
      for (const c of log) restored.restore(c.set, c.at, c.key, c.tag)
      assert.equal(restored.changes.length, 0)
      assert.deepEqual(fire(restored, Number.POSITIVE_INFINITY), fire(timers, Number.POSITIVE_INFINITY))
    }),
    { numRuns: 300 },
  )
})
