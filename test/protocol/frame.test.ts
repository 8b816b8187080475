import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  ENTRY_BARRIER,
  ENTRY_RECORD,
  ENTRY_WATERMARK,
  type Frame,
  FrameError,
  type FrameHeader,
  FrameWriter,
  readFrame,
  readHeader,
} from '../../runtime/protocol/frame.ts'

const header: FrameHeader = { run: 'run-1', producer: 7, version: 3, attempt: 'a1', index: 2, predVersion: 3, predIndex: 1 }

type Entry =
  | { type: 'record'; edge: number; value: unknown; timestamp: number; key: unknown; kind: number }
  | { type: 'watermark'; ts: number }
  | { type: 'barrier'; checkpoint: number; watermark: number; savepoint: boolean }

function write(entries: readonly Entry[], writer = new FrameWriter()): Uint8Array {
  for (const entry of entries) {
    if (entry.type === 'record') writer.record(entry.edge, entry.value, entry.timestamp, entry.key, entry.kind)
    else if (entry.type === 'watermark') writer.watermark(entry.ts)
    else writer.barrier(entry.checkpoint, entry.watermark, entry.savepoint)
  }
  return writer.finish(header)
}

function read(frame: Frame, skip = 0): Entry[] {
  const cursor = frame.reader()
  cursor.skip(skip)
  const entries: Entry[] = []
  for (let type = cursor.next(); type >= 0; type = cursor.next()) {
    const { edge, value, timestamp, key, kind, watermark, checkpoint, savepoint } = cursor
    if (type === ENTRY_RECORD) entries.push({ type: 'record', edge, value, timestamp, key, kind })
    else if (type === ENTRY_WATERMARK) entries.push({ type: 'watermark', ts: watermark })
    else if (type === ENTRY_BARRIER) entries.push({ type: 'barrier', checkpoint, watermark, savepoint })
    else assert.fail(`type ${type}`)
  }
  assert.equal(cursor.offset, frame.count)
  return entries
}

/** Equal, down to the order of keys, which deepStrictEqual does not look at. */
function assertSame(actual: unknown, expected: unknown): void {
  assert.deepStrictEqual(actual, expected)
  assert.deepEqual(keyOrder(actual), keyOrder(expected))
}

function keyOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(keyOrder)
  if (value instanceof Map) return [...value].map(keyOrder)
  if (value instanceof Set) return [...value].map(keyOrder)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return 0
  return Object.entries(value).map(([key, item]) => [key, keyOrder(item)])
}

const record = (value: unknown, key: unknown = undefined, timestamp = 1_700_000_000_000, edge = 0, kind = 0): Entry => ({
  type: 'record',
  edge,
  value,
  timestamp,
  key,
  kind,
})

function roundTrip(entries: readonly Entry[]): void {
  for (const compression of [true, false]) assertSame(read(readFrame(write(entries, new FrameWriter({ compression })))), entries)
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: fc.integer({ min: 0xd7fe, max: 0xe001 }).map(unit => String.fromCharCode(unit)), maxLength: 6 }),
  fc.constantFrom('', 'a', 'facebook', 'google', '__proto__', 'constructor', 'zażółć', '🐟'),
)
const numbers = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.nat(200),
  fc.constantFrom(
    -0,
    0,
    2 ** 52,
    2 ** 52 - 1,
    -(2 ** 52),
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    Number.NaN,
    Infinity,
  ),
)
const leaf = fc.oneof(
  text,
  numbers,
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.bigInt(),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array({ maxLength: 9 }),
  fc.uint8Array({ maxLength: 9 }).map(bytes => Buffer.from(bytes)),
  fc.float32Array({ maxLength: 5 }),
  fc.float64Array({ maxLength: 5 }),
  fc.int16Array({ maxLength: 5 }),
  fc.bigInt64Array({ maxLength: 3 }),
  fc.uint8Array({ maxLength: 4 }).map(bytes => new Uint8Array(bytes).buffer),
)
const fieldName = fc.oneof(fc.constantFrom('a', 'b', 'price', '__proto__', 'constructor', '0', '12', 'toString', ''), text)
const object = (value: fc.Arbitrary<unknown>) =>
  fc.array(fc.tuple(fieldName, value), { maxLength: 5 }).map(fields => {
    const result: Record<string, unknown> = {}
    for (const [key, item] of fields)
      Object.defineProperty(result, key, { value: item, writable: true, enumerable: true, configurable: true })
    return result
  })
const { value: anyValue } = fc.letrec(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    object(tie('value')),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.sparseArray(tie('value'), { maxNumElements: 3, maxLength: 6 }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map(pairs => new Map(pairs)),
    fc.array(tie('value'), { maxLength: 3 }).map(items => new Set(items)),
  ),
}))
const exactly = { noNullPrototype: true }
const row = fc.record({ auction: fc.nat(1e6), price: numbers, channel: text, open: fc.boolean(), note: fc.option(text) }, exactly)
const keys = fc.oneof(text, numbers, fc.constant(undefined), fc.array(fc.oneof(text, numbers), { maxLength: 3 }))
const entry: fc.Arbitrary<Entry> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record(
      {
        type: fc.constant('record' as const),
        edge: fc.constantFrom(0, 0, 1, 2 ** 32 - 1),
        value: fc.oneof(row, row, anyValue),
        timestamp: fc.oneof(fc.integer({ min: 1.7e12, max: 1.7e12 + 1e6 }), numbers),
        key: keys,
        kind: fc.constantFrom(0, 0, 0, 3, 15),
      },
      exactly,
    ),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        type: fc.constant('watermark' as const),
        ts: fc.oneof(fc.integer({ min: 1.7e12, max: 1.7e12 + 1e6 }), fc.constantFrom(Infinity, -Infinity)),
      },
      exactly,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record(
      {
        type: fc.constant('barrier' as const),
        checkpoint: fc.nat(),
        watermark: fc.constantFrom(5, -Infinity, 1.7e12),
        savepoint: fc.boolean(),
      },
      exactly,
    ),
  },
)
const entries = fc.array(entry, { maxLength: 40, size: 'max' })

describe('frame: round trip', () => {
  it('keeps any mix of entries exactly, in order', () => {
    fc.assert(fc.property(entries, roundTrip), { numRuns: 400 })
  })

  it('keeps columns of one type exactly, through every encoding', () => {
    const column = fc.oneof(
      ...[
        fc.nat(5),
        fc.integer(),
        fc.maxSafeInteger(),
        numbers,
        text,
        fc.constantFrom('x', 'y'),
        fc.boolean(),
        leaf,
        fc.option(fc.nat()),
      ].map(value => fc.array(value, { minLength: 1, maxLength: 90, size: 'max' })),
    )
    fc.assert(
      fc.property(column, values => roundTrip(values.map(value => record({ value, same: value }, undefined)))),
      { numRuns: 300 },
    )
  })

  it('tells a missing field from undefined and null, and keeps the order of keys', () => {
    roundTrip([record({ a: 1, b: undefined }), record({ a: 1 }), record({ a: 1, b: null }), record({ b: 2, a: 1 }), record({})])
  })

  it('keeps a watermark behind every record in its place, and an infinite one at the end', () => {
    const mixed: Entry[] = []
    for (let i = 0; i < 1000; i++)
      mixed.push(record({ auction: i % 7, price: i * 100 }, i % 7, 1.7e12 + i * 10), { type: 'watermark', ts: 1.7e12 + i * 10 })
    mixed.push({ type: 'watermark', ts: Infinity })
    roundTrip(mixed)
    assert.ok(write(mixed).length < 3000, `${write(mixed).length} bytes`)
  })

  it('carries objects with more shapes, fields or groups than have columns of their own', () => {
    roundTrip(Array.from({ length: 400 }, (_, i) => record({ [`k${i}`]: i, common: 1, nested: { [`n${i}`]: i } })))
    roundTrip(Array.from({ length: 400 }, (_, i) => record(i, undefined, i, i)))
    const wide = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`field${i}`, i]))
    roundTrip([record(wide), record({ wide })])
    const dictionary = (i: number) => Object.fromEntries(Array.from({ length: 200 }, (_, j) => [`${i}-${j}`, j]))
    roundTrip(Array.from({ length: 300 }, (_, i) => record(dictionary(i))))
  })

  it('normalises objects without a prototype', () => {
    const bare = Object.assign(Object.create(null), { a: 1 })
    assert.deepStrictEqual(read(readFrame(write([record(bare)]))), [record({ a: 1 })])
  })

  it('makes __proto__ an own field, in rows that are compiled as in those that are not', () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}')
    for (const rows of [1, 100]) {
      const read1 = read(readFrame(write(Array.from({ length: rows }, () => record(value)))))
      for (const got of read1) assert.deepStrictEqual(got, record(value))
    }
    assert.equal(({} as Record<string, unknown>).polluted, undefined)
  })

  it('captures a value when it is written: later changes are not sent', () => {
    const writer = new FrameWriter()
    const value = { tags: ['a'], nested: { n: 1 } }
    writer.record(0, value, 0, undefined)
    value.tags.push('b')
    value.nested.n = 2
    assert.deepStrictEqual(read(readFrame(writer.finish(header))), [record({ tags: ['a'], nested: { n: 1 } }, undefined, 0)])
  })

  it('gives each reader, row and column objects of its own', () => {
    const tags = ['a']
    const frame = readFrame(write([record({ tags, again: tags }, tags), record({ tags, again: tags }, tags)]))
    const [first, second] = read(frame) as { value: { tags: string[]; again: string[] }; key: string[] }[]
    first!.value.tags.push('changed')
    for (const other of [first!.value.again, first!.key, second!.value.tags]) assert.deepStrictEqual(other, ['a'])
    assert.deepStrictEqual(read(frame)[0], record({ tags, again: tags }, tags))
  })
})

describe('frame: writer', () => {
  it('is empty again after finish, and its next frame is as from a new writer', () => {
    fc.assert(
      fc.property(entries, entries, (first, second) => {
        const writer = new FrameWriter()
        write(first, writer)
        assert.equal(writer.count, 0)
        assert.equal(writer.approximateBytes, 0)
        assert.deepStrictEqual(write(second, writer), write(second))
      }),
      { numRuns: 60 },
    )
  })

  it('counts entries and estimates bytes', () => {
    const writer = new FrameWriter({ compression: false })
    for (let i = 0; i < 1000; i++) writer.record(0, { a: i * 1e5, b: `text ${i}`, c: Math.sqrt(i) }, 1.7e12 + i, i)
    assert.equal(writer.count, 1000)
    const estimate = writer.approximateBytes
    const { length } = writer.finish(header)
    assert.ok(length < estimate * 3 && estimate < length * 3, `${estimate} estimated, ${length} in fact`)
  })

  it('writes an empty frame', () => {
    const frame = readFrame(write([]))
    assert.equal(frame.count, 0)
    assert.equal(frame.reader().next(), -1)
  })

  it('refuses what cannot be sent, names the field, and keeps what was there', () => {
    class Point {}
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    const cases: [unknown, RegExp][] = [
      [() => 1, /^\$ is a function/],
      [{ a: 1, call: () => 1 }, /^\$\.call is a function/],
      [{ a: { b: [1, Symbol('x')] } }, /^\$\.a\.b\[1\] is a symbol/],
      [{ a: Promise.resolve() }, /^\$\.a is an instance of Promise/],
      [new Point(), /^\$ is an instance of Point/],
      [{ 'odd key': new Map([['k', { p: new Point() }]]) }, /^\$\["odd key"\]<map value of "k">\.p is an instance of Point/],
      [new (class Money extends Map {})(), /Money/],
      [new (class List extends Array {})(), /List/],
      [new Set([new WeakMap()]), /<set element> is an instance of WeakMap/],
      [cyclic, /cycle/],
    ]
    const good = { a: 1, call: 'x' }
    for (const [value, message] of cases) {
      const writer = new FrameWriter()
      writer.record(0, good, 1, 'k')
      assert.throws(
        () => writer.record(0, value, 2, 'k'),
        (error: FrameError) => error.code === 'unserialisable' && message.test(error.message),
      )
      writer.record(0, good, 3, 'k')
      assert.deepStrictEqual(read(readFrame(writer.finish(header))), [record(good, 'k', 1), record(good, 'k', 3)])
    }
    assert.throws(() => new FrameWriter().record(0, 1, 1, () => 1), { code: 'unserialisable', message: /^\$key is a function/ })
  })

  it('is full at its limits, by an error, and can still be finished', () => {
    const writer = new FrameWriter()
    assert.throws(() => {
      for (;;) writer.watermark(0)
    }, RangeError)
    assert.equal(readFrame(writer.finish(header)).count, 2 ** 18)
    const text = 'ż'.repeat(1 << 18)
    assert.throws(() => {
      for (let i = 0; ; i++) writer.record(0, { text: text + i, i }, i, undefined)
    }, RangeError)
    const { count } = writer
    assert.equal(read(readFrame(writer.finish(header))).length, count)
    assert.throws(() => writer.record(0, { a: 'x'.repeat(7 << 20) }, 0, undefined), {
      code: 'unserialisable',
      message: /too large/,
    })
    assert.throws(() => writer.record(0, [new Uint8Array(40 << 20)], 0, undefined), {
      code: 'unserialisable',
      message: /too large/,
    })
    assert.equal(writer.count, 0)
  })

  it('refuses edges, kinds, watermarks, barriers and headers out of range', () => {
    const writer = new FrameWriter()
    assert.throws(() => writer.record(-1, 1, 1, undefined), RangeError)
    assert.throws(() => writer.record(0, 1, 1, undefined, 16), RangeError)
    assert.throws(() => writer.watermark(Number.NaN), RangeError)
    assert.throws(() => writer.barrier(-1, 0), RangeError)
    for (const wrong of [{ producer: -1 }, { version: 1.5 }, { run: '\ud800' }, { attempt: 'x'.repeat(2000) }])
      assert.throws(() => writer.finish({ ...header, ...wrong }), RangeError)
  })
})

describe('frame: cursor', () => {
  it('skip(n) equals reading n', () => {
    fc.assert(
      fc.property(entries, fc.nat(), (all, n) => {
        const frame = readFrame(write(all))
        const skip = n % (all.length + 1)
        assertSame(read(frame, skip), all.slice(skip))
        const cursor = frame.reader()
        for (let i = 0; i < skip; i++) cursor.next()
        assert.equal(cursor.offset, skip)
        assert.throws(() => cursor.skip(all.length - skip + 1), RangeError)
      }),
      { numRuns: 100 },
    )
  })
})

describe('frame: damage is an error with a name', () => {
  const isFrameError = (error: unknown) => error instanceof FrameError && error.code !== 'unserialisable'
  const sample: Entry[] = []
  for (let i = 0; i < 200; i++)
    sample.push(record({ id: i, name: `n${i % 5}`, tags: [i], when: new Date(i) }, `k${i}`, i), { type: 'watermark', ts: i })
  const frames = [write(sample), write(sample, new FrameWriter({ compression: false })), write([]), write([record(1)])]

  it('any flipped bits of any byte', () => {
    for (const frame of frames) {
      for (let at = 0; at < frame.length; at++) {
        const copy = frame.slice()
        copy[at]! ^= 1 << (at % 8)
        assert.throws(() => readFrame(copy), isFrameError)
        copy[at] = ~frame[at]!
        assert.throws(() => readFrame(copy), isFrameError)
      }
    }
  })

  it('any truncation, and bytes behind the end', () => {
    for (const frame of frames) {
      for (let length = 0; length < frame.length; length++) {
        assert.throws(() => readFrame(frame.subarray(0, length)), { code: 'truncated' })
        assert.throws(() => readHeader(frame.subarray(0, length)), { code: 'truncated' })
      }
      assert.throws(() => readFrame(Uint8Array.of(...frame, 0)), isFrameError)
    }
  })

  it('random bytes, with and without the magic', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, magic) => {
        if (magic) bytes.set([0x89, 0x4d, 0x52, 0x46, 1, 0, 5, 0].slice(0, bytes.length))
        assert.throws(() => readFrame(bytes), isFrameError)
      }),
      { numRuns: 500 },
    )
  })

  it('says which: magic, version, header', () => {
    const changed = (at: number) => frames[0]!.map((byte, i) => (i === at ? byte + 1 : byte))
    assert.throws(() => readHeader(changed(0)), { code: 'magic' })
    assert.throws(() => readHeader(changed(4)), { code: 'version' })
    assert.throws(() => readHeader(changed(22)), { code: 'checksum' })
    assert.deepStrictEqual(readHeader(changed(80)), header)
    assert.throws(() => readFrame(changed(80)), { code: 'checksum' })
  })
})
