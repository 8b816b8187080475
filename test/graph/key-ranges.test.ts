import assert from 'node:assert/strict'
import test from 'node:test'
import { subtaskOf } from '../../runtime/graph/key.ts'
import { heirsOf, keyRangeOf } from '../../runtime/graph/key-ranges.ts'

const GROUPS = 24
const all = (n: number) => Array.from({ length: n }, (_, i) => i)

test('a subtask owns the key groups that subtaskOf gives it', () => {
  for (const parallelism of all(GROUPS).map(n => n + 1))
    for (const subtask of all(parallelism)) {
      const { from, to } = keyRangeOf(subtask, GROUPS, parallelism)
      assert.ok(from < to)
      assert.deepEqual(
        all(GROUPS).filter(group => group >= from && group < to),
        all(GROUPS).filter(group => subtaskOf(group, GROUPS, parallelism) === subtask),
      )
    }
})

test('heirs of a subtask are those that own any of its key groups', () => {
  for (const from of all(GROUPS).map(n => n + 1))
    for (const to of all(GROUPS).map(n => n + 1))
      for (const subtask of all(from)) {
        const own = all(GROUPS).filter(group => subtaskOf(group, GROUPS, from) === subtask)
        const owners = [...new Set(own.map(group => subtaskOf(group, GROUPS, to)))]
        assert.deepEqual(heirsOf(keyRangeOf(subtask, GROUPS, from), GROUPS, to), owners)
      }
})
