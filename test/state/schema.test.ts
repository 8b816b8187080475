import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { stateSchema } from '../../runtime/api/state-schema.ts'
import { fateOfSchema } from '../../runtime/graph/schema-change.ts'
import type { ShapeSchema } from '../../runtime/graph/shape.ts'
import { value } from '../../runtime/index.ts'
import { pack, tagged, tagIn, unpack } from '../../runtime/state/codec.ts'
import { asOfNow, StateVersionError, tagOf } from '../../runtime/state/schema.ts'

const place = { operatorId: 'carts', state: 'cart', key: 'u1' }

test('a value of a newer version is refused by code that does not know it, with operator, state and key', () => {
  const schema = stateSchema('value state', { version: 2, migrate: { 1: n => ({ n }) } })
  assert.throws(
    () => asOfNow(schema, '3', {}, place),
    error =>
      error instanceof StateVersionError &&
      !error.retryable &&
      error.message ===
        `operator carts: the state 'cart' of the key "u1" is of version 3, and this code knows it up to version 2: run the code that wrote it, or newer`,
  )
  assert.throws(() => asOfNow(undefined, '2', {}, place), /is of version 2, and this code knows it up to version 1/)
  assert.deepEqual(asOfNow(schema, undefined, 7, place), { n: 7 })
  const stored = { n: 7 }
  assert.equal(asOfNow(schema, '2', stored, place), stored)
})

test('a migration that gives nothing, or a promise, is refused; so is what the schema does not take', () => {
  const of = (step: (old: any) => unknown, schema?: z.ZodType) =>
    stateSchema('value state', { version: 2, migrate: { 1: step } }, schema)
  assert.throws(
    () =>
      asOfNow(
        of(() => undefined),
        undefined,
        1,
        place,
      ),
    /migrate\[1\] gave undefined: it gives the value/,
  )
  assert.throws(
    () =>
      asOfNow(
        of(() => Promise.resolve(1)),
        undefined,
        1,
        place,
      ),
    /migrate\[1\] gave a promise/,
  )
  const user = z.object({ name: z.string(), visits: z.number().default(0) })
  assert.deepEqual(
    asOfNow(
      of(name => ({ name }), user),
      undefined,
      'ann',
      place,
    ),
    { name: 'ann', visits: 0 },
  )
  assert.throws(
    () =>
      asOfNow(
        of(name => ({ name }), user),
        undefined,
        7,
        place,
      ),
    /is not what its schema says \(name\): .*Give the state a new version/,
  )
})

test('a tag in front of a stored value tells its version, and nothing else is taken for one', () => {
  for (const stored of [undefined, null, 0, 'x', { t: '1', v: 2 }, new Uint8Array([0xc1, 0xc1, 1]), '\ud800', ['\udc00']]) {
    const packed = pack(stored)
    assert.equal(tagIn(packed), undefined)
    assert.equal(tagIn(tagged('2.1abc', packed)), '2.1abc')
    assert.deepEqual(unpack(tagged('2.1abc', packed)), stored)
  }
  assert.equal(tagOf(stateSchema('value state', {})), undefined)
})

test('what is no declaration is refused', () => {
  assert.throws(() => value({ version: 0 }), /its version is 0. Versions are whole numbers from 1/)
  assert.throws(() => value({ version: 2, migrate: { 2: old => old } }), /it has migrate\[2\] and is of version 2/)
  assert.throws(
    () => value({ schema: { '~standard': { version: 1, vendor: 'x', validate: v => ({ value: v }) } } }),
    /no JSON Schema/,
  )
})

/** What shapes say of a schema. */
function shaped(schema: z.ZodType, version = 1, ...migrates: number[]): ShapeSchema {
  const { fields } = stateSchema(
    'value state',
    { version, migrate: Object.fromEntries(migrates.map(v => [v, (x: unknown) => x])) },
    schema,
  )!
  return { version, migrates, fields: fields! }
}

test('fields: at any depth they may go, and come where they can be absent; all else needs a version', () => {
  const before = z.object({
    id: z.string(),
    note: z.string().optional(),
    at: z.object({ city: z.string(), lines: z.array(z.object({ n: z.number() })) }),
  })
  const at = before.shape.at
  const cases: [z.ZodType, string, RegExp?][] = [
    [before, 'kept'],
    [before.omit({ id: true }), 'migrated', /leaves out id$/],
    [before.omit({ at: true }), 'migrated', /leaves out at$/],
    [before.extend({ tags: z.array(z.string()).default([]) }), 'migrated', /adds tags$/],
    [before.extend({ owner: z.object({ name: z.string() }).optional() }), 'migrated', /adds owner$/],
    [before.extend({ at: at.extend({ zip: z.string().optional() }) }), 'migrated', /adds at\.zip$/],
    [before.extend({ at: at.extend({ zip: z.string() }) }), 'refused', /the field at\.zip is new, and has to be there/],
    [before.extend({ id: z.number() }), 'refused', /the field id was string and is number: set its version to 2/],
    [before.extend({ note: z.string() }), 'refused', /the field note could be absent and can't be now/],
    [
      before.extend({ at: at.extend({ lines: z.array(z.object({ n: z.string() })) }) }),
      'refused',
      /the field at\.lines\[\]\.n was number and is string/,
    ],
    [z.string(), 'refused', /its value was object and is string/],
  ]
  for (const [after, fate, reason = /^$/] of cases) {
    const found = fateOfSchema(shaped(before), shaped(after))
    assert.equal(found.fate, fate, JSON.stringify(found))
    assert.match(found.reason ?? '', reason)
  }
  assert.equal(fateOfSchema(shaped(before), shaped(z.string(), 2, 1)).fate, 'migrated')
  assert.match(fateOfSchema(shaped(before), shaped(z.string(), 3, 1)).reason!, /migrate: \{ 2: old => … \}/)
  assert.match(fateOfSchema(undefined, shaped(before)).reason!, /written without a schema: each is checked when it is read/)
  assert.deepEqual(fateOfSchema(shaped(before), undefined), { fate: 'kept' })
  assert.match(fateOfSchema(shaped(before, 2), undefined).reason!, /of version 2, and this code knows them up to version 1/)
})
