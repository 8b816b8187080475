import assert from 'node:assert/strict'
import test from 'node:test'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import * as z from 'zod'
import type { SourceSpec } from '../../runtime/graph/graph.ts'
import { decode, describePosition, rawBytes } from '../../runtime/stage/decode.ts'
import { monotonous } from '../../runtime/time/watermarks.ts'

const Event = z.object({ at: z.number(), tags: z.array(z.string()).optional() })

function source(schema: StandardSchemaV1<any, any>, timestamp = (e: any) => e.at): SourceSpec {
  return { name: 'events', schema, timestamp, watermark: monotonous() }
}

function validator(validate: (value: unknown) => any): StandardSchemaV1<any, any> {
  return { '~standard': { version: 1, vendor: 'test', validate } }
}

function reason(raw: string | Uint8Array, spec = source(Event)): string {
  const decoded = decode(raw, spec)
  assert.equal(decoded.ok, false)
  return decoded.ok ? '' : decoded.reason
}

test('a record is JSON, valid, and has a time', () => {
  assert.deepEqual(decode('{"at":5}', source(Event)), { ok: true, value: { at: 5 }, timestamp: 5 })
  assert.deepEqual(decode(new TextEncoder().encode('{"at":5}'), source(Event)), { ok: true, value: { at: 5 }, timestamp: 5 })
})

test('whatever is wrong with a record is a reason, not an error', () => {
  assert.match(reason('{bad'), /^not JSON: /)
  assert.match(reason(new Uint8Array([0x22, 0xff, 0x22])), /^not JSON: /)
  assert.match(reason('{"at":"x"}'), /^invalid: at: /)
  assert.match(reason('{"at":1,"tags":["a",2]}'), /^invalid: tags\.1: /)
  assert.match(
    reason(
      '{"at":1}',
      source(Event, () => Number.NaN),
    ),
    /^no timestamp: NaN /,
  )
  assert.match(
    reason(
      '{"at":1}',
      source(Event, e => e.none.at),
    ),
    /^no timestamp: /,
  )
})

test('a validator that throws makes a dead letter too: one record must not stop a source', () => {
  const throws = validator(() => {
    throw new Error('boom')
  })
  assert.equal(reason('{}', source(throws)), 'invalid: its validator threw Error: boom')
})

test('an asynchronous schema is refused by name', () => {
  assert.throws(
    () => decode('{}', source(validator(async () => ({ value: {} })))),
    /schema of source events validates asynchronously/,
  )
})

test('raw bytes are a plain Uint8Array, also where a connector read with Buffers: the same value everywhere', () => {
  const [first, ...others] = ['{bad', Buffer.from('{bad'), new TextEncoder().encode('{bad')].map(rawBytes)
  for (const bytes of others) assert.deepStrictEqual(bytes, first)
  assert.equal(Object.getPrototypeOf(first), Uint8Array.prototype)
})

test('where a dead letter lies: at its place, or, where only positions are known, before the one behind it', () => {
  assert.equal(describePosition('a.ndjson', undefined, { line: 3, byte: 120 }), 'a.ndjson, up to line 3, byte 120')
  const behind = { 'shard-1': '5@1700000000000', 'shard-2': '9@1700000000000' }
  assert.equal(
    describePosition('changes-0', { shard: 'shard-1', sequenceNumber: '5' }, behind),
    'changes-0, shard shard-1, sequenceNumber 5',
  )
})
