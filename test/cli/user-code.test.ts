import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'

const HEAD = `
import { aggregate, boundedOutOfOrderness, customSink, ndjson, pipeline, print, tumbling } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'
const app = pipeline('p')
const fail = (): never => { throw new RangeError('no luck\\nat all') }
const time = { time: (e: { at: number }) => e.at, watermark: boundedOutOfOrderness('1s') }
const events = app.source('events', ndjson(z.object({ at: z.number() })), time)
const sum = { createAccumulator: () => 0, add: (n: number) => n + 1, getResult: (n: number) => n }
`
const LINE = HEAD.split('\n').findIndex(line => line.includes('RangeError')) + 1

/** What stands between source and sink, and how its failure is told. */
const FUNCTIONS: Readonly<Record<string, readonly [code: string, told: string]>> = {
  map: ['events.map(fail)', "operator 'map-\\w+' at the record of \\S+: map threw "],
  filter: ['events.filter(fail)', "operator 'filter-\\w+' .*: filter threw "],
  flatMap: ['events.flatMap(fail)', "operator 'flatmap-\\w+' .*: flatMap threw "],
  uid: ["events.map(fail).uid('prices')", "operator 'prices' .*: map threw "],
  keyBy: [
    'events.keyBy(() => fail()).reduce(a => a)',
    "operator 'reduce-\\w+' at the record of \\S+: keyBy\\(\\(\\) => fail\\(\\)\\) threw ",
  ],
  reduce: ["events.keyBy('at').reduce(fail)", "operator 'reduce-\\w+' .*: reduce threw "],
  process: ["events.keyBy('at').process({ state: {}, onRecord: () => fail() })", "operator 'process-\\w+' .*: onRecord threw "],
  add: [
    "events.keyBy('at').window(tumbling('1m')).aggregate(aggregate({ ...sum, add: fail }))",
    "operator 'window-\\w+' .*: the aggregate threw ",
  ],
  getResult: [
    "events.keyBy('at').window(tumbling('1m')).aggregate(aggregate({ ...sum, getResult: fail }))",
    "operator 'window-\\w+' .*: the window function threw ",
  ],
  mapAsync: ['events.mapAsync(async () => fail())', "operator 'mapasync-\\w+': a call was tried \\w+.* and failed: "],
}

test('what a function of the pipeline throws is told in one line: operator, kind, and the place in its own file', async () => {
  const cwd = directoryWith({ 'events.ndjson': '{"at":1700000000000}\n'.repeat(2) })

  await Promise.all(
    Object.entries(FUNCTIONS).map(async ([name, [code, told]]) => {
      writeFileSync(`${cwd}/${name}.ts`, `${HEAD}${code}.sink('out', print())\nexport default app\n`)
      const { code: exit, out, err } = await run(cwd, name)
      assert.deepEqual([exit, out], [1, ''], name)
      assert.match(err, new RegExp(`^millrace: ${told}RangeError: no luck at all \\(${name}\\.ts:${LINE}\\)[^\\n]*\\n$`))
    }),
  )
})

test('a keyBy that gives no key names the operator and what it gave', async () => {
  for (const [name, key, gave] of [
    ['chained', '() => undefined as any', 'undefined'],
    ['tuple', '() => [1, null] as any', 'a tuple with null in it'],
  ] as const) {
    const cwd = directoryWith({
      'events.ndjson': '{"at":1700000000000}\n'.repeat(2),
      [`${name}.ts`]: `${HEAD}events.keyBy(${key}).reduce(a => a).uid('total').sink('out', print())\nexport default app\n`,
    })
    const { code, err } = await run(cwd, name)
    assert.equal(code, 1)
    assert.match(err, /^millrace: operator 'total' at the record of 2023-\S+: keyBy\(.*\) gave [^\n]*\n$/)
    assert.ok(err.includes(gave), err)
  }
})

test('a time function that throws makes a dead letter, whose summary names the place', async () => {
  const cwd = directoryWith({
    'events.ndjson': '{"at":1700000000000}\n'.repeat(2),
    'time.ts': `${HEAD.replace('e => e.at', 'e => fail()').replace('(e: { at: number }) => e.at', '() => fail()')}events.sink('out', print())\nexport default app\n`,
  })
  const { code, out } = await run(cwd, 'time')
  assert.equal(code, 0)
  assert.match(out, new RegExp(`no timestamp: the time function threw RangeError: no luck at all \\(time\\.ts:${LINE}\\)`))
})

test("a sink of one's own names itself and the place, and MILLRACE_DEBUG=1 shows the stack", async () => {
  const cwd = directoryWith({ 'events.ndjson': '{"at":1700000000000}\n'.repeat(2) })

  for (const [name, sink, what] of [
    ['write', '{ write: fail }', "operator 'sink-out': the sink pager: write"],
    ['flush', '{ write() {}, flush: async () => fail() }', "operator 'sink-out': the sink pager: flush"],
  ] as const) {
    writeFileSync(
      `${cwd}/${name}.ts`,
      `${HEAD}events.sink('out', customSink({ name: 'pager', open: () => (${sink}) }))\nexport default app\n`,
    )
    const { code, err } = await run(cwd, name, [])
    assert.equal(code, 1)
    assert.match(err, new RegExp(`^millrace: ${what} threw RangeError: no luck at all \\(${name}\\.ts:${LINE}\\)\\n$`))
  }
  process.env.MILLRACE_DEBUG = '1'
  try {
    assert.match((await run(cwd, 'write', [])).err, /\n +at .*runtime[\s\S]*caused by: RangeError: no luck/)
  } finally {
    delete process.env.MILLRACE_DEBUG
  }
})

function run(cwd: string, name: string, more: readonly string[] = ['--out', `o-${name}`]) {
  return millrace(['run', `${name}.ts`, '--source', 'events=events.ndjson', ...more], { cwd })
}

test('what can be neither stored nor sent is told with operator, state or field, and the remedy', async () => {
  const values = `
class Price { n = 1 }
const at = events.keyBy('at')
const stored = (v: () => unknown) => at.process({ state: { o: value<any>(), m: map<string, any>() }, onRecord(_e, c) { v === undefined || c.state.o.set(v()) } })
const inMap = () => at.process({ state: { m: map<string, any>() }, onRecord(_e, c) { c.state.m.set('x', { fn: fail }) } })
`
  const cases: readonly [string, RegExp][] = [
    [
      'stored(() => fail)',
      /operator 'process-\w+': the state 'o' of the key 1 is a function, which can't be stored: keep plain data/,
    ],
    [
      'stored(() => ({ a: { b: new Price() } }))',
      /the state 'o' of the key 1 holds, in a\.b, an instance of Price, which can't be stored/,
    ],
    ['inMap()', /the state 'm' of the key 1 holds, in fn, a function, which can't be stored/],
    [
      'events.map(e => ({ ...e, p: new Price() })).keyBy(e => e.at).process({ state: {}, onRecord: e => [e.p.n] })',
      /operator 'process-\w+' at the record of \S+: its field p is an instance of Price, which can't be sent from one function to another: make plain data/,
    ],
  ]
  const head = HEAD.replace('aggregate,', 'aggregate, map, value,')
  const files = Object.fromEntries(
    cases.map(([code], i) => [`p${i}.ts`, `${head}${values}\n${code}.sink('out', print())\nexport default app\n`]),
  )
  const cwd = directoryWith({ ...files, 'a.ndjson': '{"at":1}\n{"at":2}\n' })
  for (const [i, [, told]] of cases.entries()) {
    const { code, err } = await millrace(['run', `p${i}.ts`, '--source', 'events=a.ndjson', '--parallelism', '2'], { cwd })
    assert.equal(code, 1, err)
    assert.match(err, told)
  }
})
