import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { gatherLines } from '../../runtime/connectors/json-buffer.ts'
import { jsonLine } from '../../runtime/connectors/json-line.ts'

const RUNS = 2_000

class Point {
  readonly x: number
  constructor(x: number) {
    this.x = x
  }
}

const inheriting = (x: number) => Object.assign(Object.create({ y: 'inherited' }), { x })
/** Lone surrogates too. */
const units = fc.array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd700, max: 0xe100 }), fc.nat(0x80)), { maxLength: 6 })
const text = fc.oneof(
  fc.string(),
  fc.string({ minLength: 200, maxLength: 400 }),
  fc.oneof(units, fc.array(fc.nat(0xff), { maxLength: 6 })).map(codes => String.fromCharCode(...codes)),
)
const edges = fc.constantFrom(1e9 - 1, 1e9, 1e15 - 1, 1e15, 2 ** 31, 2 ** 31 - 1, -0)
const whole = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: 1e9, max: 2e12 }), edges)
const plain = fc.oneof(text, fc.double(), whole, fc.boolean(), fc.constant(null))
const odd = fc.oneof(
  fc.constant(undefined),
  fc.date({ noInvalidDate: true }),
  fc.jsonValue(),
  fc.uint8Array(),
  fc.constant(Symbol('s')),
  fc.constant(() => 1),
  fc.constant(new Number(1)),
)
const names = fc.constantFrom('x', 'y', 'a"b', '10', '2', 'toJSON', 'ü', '\n', '__proto__')
const record = (value: fc.Arbitrary<unknown>) => fc.array(fc.tuple(names, value), { maxLength: 5 }).map(Object.fromEntries)
const value = fc.oneof(
  { weight: 4, arbitrary: record(plain) },
  { weight: 1, arbitrary: record(fc.oneof(plain, odd)) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      plain,
      fc.array(plain),
      fc.double().map(x => new Point(x)),
      fc.double().map(inheriting),
    ),
  },
  { weight: 1, arbitrary: fc.double().map(x => Object.assign(Object.create(null), { x, y: null })) },
)

function sameLines(values: readonly unknown[], takenAfter = Number.POSITIVE_INFINITY): void {
  const lines = gatherLines('the sink')
  const chunks: Buffer[] = []
  for (const [i, value] of values.entries()) {
    lines.write(value)
    if (i % takenAfter === 0) chunks.push(...lines.take())
  }
  chunks.push(...lines.take())
  const found = Buffer.concat(chunks).toString()
  // Half a surrogate that JSON leaves as it is has no UTF-8.
  const expected = Buffer.from(values.map(value => jsonLine(value, 'the sink')).join('')).toString()
  assert.equal(found, expected)
}

test('lines are those of JSON.stringify, whatever comes in whatever order', () => {
  fc.assert(fc.property(fc.array(value, { maxLength: 60 }), fc.integer({ min: 1, max: 20 }), sameLines), { numRuns: RUNS })
})

test('so are those of records with the same fields, as most are', () => {
  const alike = fc.uniqueArray(names, { minLength: 1, maxLength: 5 }).chain(fields => {
    const same = fc.tuple(...fields.map(() => plain)).map(held => Object.fromEntries(fields.map((field, i) => [field, held[i]])))
    return fc.array(fc.oneof({ weight: 9, arbitrary: same }, { weight: 1, arbitrary: value }), { maxLength: 60 })
  })
  fc.assert(fc.property(alike, fc.integer({ min: 1, max: 20 }), sameLines), { numRuns: RUNS })
})

test('so are those of records of which every other one is of another kind, for as long as they come', () => {
  sameLines(Array.from({ length: 1000 }, (_, i) => (i % 2 === 0 ? { a: i, b: `${i}` } : { a: i, b: [i] })))
  sameLines(Array.from({ length: 1000 }, (_, i) => (i % 3 === 0 ? { a: i } : { b: i })))
})

test('records like most are written from their fields however many others have come', t => {
  const odds = [{ at: new Date(0) }, { id: 'x'.repeat(300) }, { other: 1 }, {}, [1]]
  const records = Array.from({ length: 20_000 }, (_, i) => (i % 100 === 99 ? odds[((i / 100) % 5) | 0] : { id: `e${i}`, n: i }))
  const lines = gatherLines('the sink')
  const { mock } = t.mock.method(JSON, 'stringify')
  for (const record of records) lines.write(record)
  assert.ok(mock.callCount() < 500, `JSON.stringify was called ${mock.callCount()} times`)
})

test('a toJSON that is not listed is called', () => {
  const hidden = Object.defineProperty({ n: 1 }, 'toJSON', { value: () => 'shown' })
  sameLines([{ n: 1 }, hidden, { n: 1 }, hidden])
})

test('fewer fields, the first of them, and more, behind the others', () => {
  const record = { a: 1, b: 'x', c: true }
  sameLines([record, { a: 1, b: 'x' }, record, { a: 1 }, record, {}, record, { ...record, d: null }, record])
})

test('more than the buffer holds at a time, by many records, by large ones, and by records of many fields', () => {
  const small = (i: number) => ({
    id: `e${i}`,
    at: 1_700_000_000_000 + i,
    text: 'x'.repeat(i % 250),
    other: '\u0001'.repeat(i % 200),
  })
  sameLines(Array.from({ length: 5_000 }, (_, i) => small(i)))
  sameLines(Array.from({ length: 200 }, (_, i) => ({ ...small(i), text: 'ü'.repeat(i * 1_000) })))
  const wide = (i: number) => Object.fromEntries(Array.from({ length: 700 }, (_, f) => [`field${f}`, 'y'.repeat((i + f) % 250)]))
  sameLines(Array.from({ length: 50 }, (_, i) => wide(i)))
  // Each of them ends somewhere else near the end of the buffer.
  const escaped = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, f) => [`field${f}`, '\u0001'.repeat(250)]))
  for (let n = 80; n < 92; n++) sameLines([escaped(n), { text: 'z' }, escaped(n)])
})

test('whole numbers of all sizes', () => {
  const values: unknown[] = [{ n: 0 }]
  for (let power = 1; power <= 1e18; power *= 10)
    for (let d = -1001; d <= 1001; d++) values.push({ n: power + d }, { n: -power + d }, { n: power / 3 + d })
  sameLines(values)
})

test('what JSON can not hold names the sink and the remedy, and nothing of it is written', () => {
  const lines = gatherLines("sink 'totals'")
  for (let i = 0; i < 3; i++) lines.write({ n: i })
  assert.throws(() => lines.write({ n: 1n }), /sink 'totals' .*bigint: map it/)
  const throwing = {
    get n() {
      throw new Error('no n today')
    },
  }
  assert.throws(() => lines.write(throwing), /sink 'totals' can't write a record as JSON: .*no n today/)
  lines.write({ n: 3 })
  assert.equal(Buffer.concat(lines.take()).toString(), '{"n":0}\n{"n":1}\n{"n":2}\n{"n":3}\n')
  assert.deepEqual(lines.take(), [])
})
