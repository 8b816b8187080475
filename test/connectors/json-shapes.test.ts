import assert from 'node:assert/strict'
import { isAscii } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonShapes } from '../../runtime/connectors/json-shapes.ts'

/** Lines in one buffer, each parsed twice as often as it takes to learn its shape. */
function parseAll(shapes: JsonShapes, lines: readonly string[]): unknown[] {
  const bytes = Buffer.from(`${lines.join('\n')}\n`, 'latin1')
  let start = 0
  return lines.map(line => {
    const parsed = outcome(() => shapes.parse(line, bytes, start))
    start += line.length + 1
    return parsed
  })
}

function outcome(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return { threw: (error as Error).message }
  }
}

function assertAsJson(lines: readonly string[], shapes = new JsonShapes()): void {
  const found = parseAll(shapes, lines)
  lines.forEach((line, i) => {
    const expected = outcome(() => JSON.parse(line))
    // Tells -0 from 0, and {} from another prototype.
    assert.deepStrictEqual(found[i], expected, line)
    if (typeof expected === 'object' && expected !== null)
      assert.deepEqual(Object.keys(found[i] as object), Object.keys(expected), line)
  })
}

const PLAIN = '{"id":"e1","n":1,"x":0.5}'

test('numbers, strings and whatever else stands in the place of a plain value', () => {
  const values = [
    '0',
    '-0',
    '-0.0',
    '7',
    '-12',
    '007',
    '-01',
    '1.',
    '.5',
    '-',
    '+1',
    '1e3',
    '1.5E-7',
    '0.1',
    '0.30000000000000004',
    '12345.678',
  ]
  values.push(
    '999999999999999',
    '9999999999999999',
    '123456789012.125',
    '1234567890123.4567',
    '9007199254740993',
    '1e400',
    '0.000000000000001',
  )
  values.push(
    '""',
    '"a"',
    '"123456789012"',
    '"1234567890123"',
    '"a\\"b"',
    '"a\\\\"',
    '"\\u0041"',
    '"a\tb"',
    '"\u007f"',
    '"a',
    'a"',
    'true',
    'null',
  )
  values.push('[1]', '{}', '{"a":1}', 'NaN', 'Infinity', '', ' 1', '1 ', '1,', '1}', '1,"z":2', "'a'")
  const lines = values.flatMap(value => [
    PLAIN,
    `{"id":${value},"n":1,"x":2}`,
    `{"id":"e","n":${value},"x":2}`,
    `{"id":"e","n":1,"x":${value}}`,
  ])
  assertAsJson([PLAIN, PLAIN, ...lines])
})

test('keys that are not in the order of before, twice there, missing, or that mean something to an object', () => {
  const shapes = new JsonShapes()
  assertAsJson(
    [PLAIN, PLAIN, '{"n":1,"id":"e1","x":0.5}', '{"id":"e1","n":1,"n":2}', '{"id":"e1","n":1}', '{"id":"e1","n":1,"x":1,"y":2}'],
    shapes,
  )
  assertAsJson(
    [
      `${PLAIN} `,
      ` ${PLAIN}`,
      `${PLAIN}}`,
      `${PLAIN.slice(0, -1)}`,
      PLAIN.replace(':', ': '),
      `[${PLAIN}]`,
      '{}',
      '1',
      'null',
      '"a"',
    ],
    shapes,
  )
  for (const line of [
    '{"b":1,"__proto__":2}',
    '{"b":1,"2":2,"1":3}',
    '{"a\\u0062":1}',
    '{"constructor":1,"toString":2}',
    '{"if":1,"class":"x"}',
  ])
    assertAsJson([line, line, line])
})

test('property: any mix of lines of few shapes, and what has become of them', () => {
  const scalar = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.double({ noNaN: true, min: -1000, max: 1000 }).map(n => Math.round(n * 1000) / 1000),
    fc.constantFrom(null, true, 1e21, ''),
  )
  const shapes = [
    fc.record({ id: fc.string({ maxLength: 9 }), kind: fc.constantFrom('click', 'search'), at: fc.integer() }),
    fc.record({ a: scalar, b: scalar }),
    fc.dictionary(fc.string({ maxLength: 3 }), scalar, { maxKeys: 4 }),
  ]
  const damaged = fc
    .tuple(fc.oneof(...shapes), fc.nat(), fc.constantFrom('', '"', ',', '}', '0', '.', '-', '\\', ' '))
    .map(([value, at, put]) => {
      const line = JSON.stringify(value)
      const i = at % line.length
      return line.slice(0, i) + put + line.slice(i + 1)
    })
  const line = fc.oneof(
    { weight: 4, arbitrary: fc.oneof(...shapes).map(v => JSON.stringify(v)) },
    { weight: 1, arbitrary: damaged },
  )
  const ascii = line.filter(text => isAscii(Buffer.from(text)) && !text.includes('\n'))
  fc.assert(
    fc.property(fc.array(ascii, { maxLength: 60 }), lines => assertAsJson(lines)),
    { numRuns: 400 },
  )
})

test('a shape that most lines do not have any more is given up, and the last line may lack its newline', () => {
  const shapes = new JsonShapes()
  assertAsJson([...Array(200).fill(PLAIN), ...Array(3000).fill('{"id":"a\\\\b","n":1,"x":2}'), ...Array(200).fill(PLAIN)], shapes)
  const text = '{"id":"e1","n":1,"x":12'
  assert.throws(() => shapes.parse(text, Buffer.from(text), 0), SyntaxError)
  assert.deepEqual(shapes.parse(PLAIN, Buffer.from(PLAIN), 0), JSON.parse(PLAIN))
})

test('what is read so is what lies in the buffer: no line of a known shape asks JSON.parse', t => {
  const shapes = new JsonShapes()
  parseAll(shapes, [PLAIN])
  const parse = t.mock.method(JSON, 'parse')
  assert.deepEqual(parseAll(shapes, ['{"id":"e2","n":-3,"x":1.25}']), [{ id: 'e2', n: -3, x: 1.25 }])
  assert.equal(parse.mock.callCount(), 0)
})
