import assert from 'node:assert/strict'
import test from 'node:test'
import { jsonLine } from '../../runtime/connectors/json-line.ts'

test('bytes in a field become text, or base64 where they are none, not an object of numbers', () => {
  const raw = (bytes: Uint8Array) => JSON.parse(jsonLine({ reason: 'not JSON', raw: bytes }, 'sink')).raw
  assert.equal(raw(new TextEncoder().encode('{bad ü')), '{bad ü')
  assert.equal(raw(new Uint8Array([0x7b, 0xff])), 'base64:e/8=')
  assert.equal(raw(new TextEncoder().encode('base64:e/8=')), 'base64:YmFzZTY0OmUvOD0=', 'text that looks like it')
})

test('a Buffer is bytes too: its own JSON, a list of numbers, is not what is written', () => {
  assert.equal(jsonLine({ raw: Buffer.from('{bad json'), n: 1 }, 'sink'), '{"raw":"{bad json","n":1}\n')
  assert.equal(jsonLine({ raw: Buffer.from([0x7b, 0xff]) }, 'sink'), '{"raw":"base64:e/8="}\n')
})

test('a bigint names the sink and the remedy', () => {
  assert.throws(() => jsonLine({ n: 1n }, "sink 'totals'"), /sink 'totals' .*bigint: map it/)
})
