import assert from 'node:assert/strict'
import test from 'node:test'
import type { KeyedOperator } from '../../runtime/operators/keyed-operator.ts'
import { entryBytes, estimateBytes } from '../../runtime/state/eviction.ts'
import { KeyedState } from '../../runtime/state/keyed-state.ts'

test('what state takes is told within its double and its half, though the first keys have nearly all of it', () => {
  const state = new KeyedState([{ name: 'seen', primitive: 'map', load: 'all' }])
  const add = (key: string, subkeys: number) => {
    const entry = state.lookup(key)!
    for (let i = 0; i < subkeys; i++) state.mapSet(entry, 0, `${i}`, i, 0)
  }
  const all = () => [...state.entries.values()].reduce((sum, entry) => sum + entryBytes(entry, state.declarations), 0)
  const estimate = () => estimateBytes([{ state } as unknown as KeyedOperator])
  for (let k = 0; k < 5000; k++) {
    add(`key ${k}`, k < 50 ? 2000 : 1)
    if (k % 10 === 0) estimate()
  }
  const bytes = all()
  for (let looks = 0; looks < 1000; looks++) {
    const told = estimate()
    assert.ok(told > bytes / 2 && told < bytes * 2, `${told} of ${bytes}, after ${looks} looks`)
  }
})
