import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pack, unpack } from '../../runtime/state/codec.ts'

test('what MessagePack changes in silence comes back as it was: -0, and a field called __proto__', () => {
  const fields = JSON.parse('{"__proto__":{"__proto__":1},"\\u0000p":2,"\\u0000z":"\\u0000z"}')
  for (const value of [-0, [0, -0], { a: -0 }, new Map([['a', -0]]), fields, new Set([fields]), '\u0000z', '\u0000p'])
    assert.deepStrictEqual(unpack(pack(value)), value)
  assert.deepEqual(Object.keys(unpack<object>(pack(fields))), ['__proto__', '\u0000p', '\u0000z'])
})
