import assert from 'node:assert/strict'
import test from 'node:test'
import { jsonLine } from '../../runtime/connectors/json-line.ts'

test('bytes in a field become base64, not an object of numbers', () => {
  const letter = { reason: 'not JSON', raw: new TextEncoder().encode('{bad') }
  const { raw } = JSON.parse(jsonLine(letter, 'sink'))
  assert.equal(Buffer.from(raw, 'base64').toString(), '{bad')
})

test('a bigint names the sink and the remedy', () => {
  assert.throws(() => jsonLine({ n: 1n }, "sink 'totals'"), /sink 'totals' .*bigint: map it/)
})
