import assert from 'node:assert/strict'
import test from 'node:test'
import { jsonLine } from '../../runtime/connectors/json-line.ts'

test('bytes in a field become text, or base64 where they are none, not an object of numbers', () => {
  const raw = (bytes: Uint8Array) => JSON.parse(jsonLine({ reason: 'not JSON', raw: bytes }, 'sink')).raw
  assert.equal(raw(new TextEncoder().encode('{bad ü')), '{bad ü')
  assert.equal(raw(new Uint8Array([0x7b, 0xff])), 'base64:e/8=')
})

test('a bigint names the sink and the remedy', () => {
  assert.throws(() => jsonLine({ n: 1n }, "sink 'totals'"), /sink 'totals' .*bigint: map it/)
})
