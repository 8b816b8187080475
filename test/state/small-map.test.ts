import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { KeyPart } from '../../runtime/graph/key.ts'
import { SmallMap } from '../../runtime/state/small-map.ts'

const key = fc.oneof(fc.constantFrom<KeyPart>('', 'a', '1', 0, 1), fc.integer({ min: 0, max: 3 }))
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('set' as const), key, value: fc.integer() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
)

test('a small map is a Map, in the order of its entries too', () => {
  fc.assert(
    fc.property(fc.array(step), steps => {
      const map = new SmallMap<number>()
      const model = new Map<KeyPart, number>()
      for (const step of steps) {
        if (step.do === 'set') {
          map.set(step.key, step.value)
          model.set(step.key, step.value)
        } else if (step.do === 'delete') {
          map.delete(step.key)
          model.delete(step.key)
        } else {
          map.clear()
          model.clear()
        }
        assert.equal(map.size, model.size)
        if (step.do !== 'clear') {
          assert.equal(map.get(step.key), model.get(step.key))
          assert.equal(map.has(step.key), model.has(step.key))
        }
        assert.deepEqual([...map], [...model])
        const visited: [KeyPart, number][] = []
        map.forEach((value, key) => {
          visited.push([key, value])
        })
        assert.deepEqual(visited, [...model])
      }
    }),
  )
})
