import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  aggregate,
  aggregating,
  all,
  avg,
  boundedOutOfOrderness,
  count,
  countWindow,
  customSink,
  customWatermark,
  fileSink,
  globalWindow,
  httpSink,
  list,
  MillraceError,
  map,
  max,
  ndjson,
  onEventTime,
  pipeline,
  print,
  purging,
  redis,
  reducing,
  session,
  sideOutput,
  sum,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { openTestPipeline } from '../../runtime/testing/index.ts'
import { anything, type Event } from '../graph/pipelines.ts'

/*
 * Ways to write a pipeline wrong. Most of them tsc refuses too (types.test.ts, messages.test.ts), so everything is `any` here, as for those who write JavaScript, or cast.
 * refusals.test.ts has those that are mistakes of one call alone; a cycle can't be written: a stream is made of streams that are there.
 */

type Streams = { readonly app: any; readonly events: any; readonly keyed: any }
type Wrong = (streams: Streams) => any
type Row = readonly [title: string, wrong: Wrong, message: RegExp]

const TIME = { time: (e: any) => e.timestamp, watermark: boundedOutOfOrderness('0s') }

class Money {
  amount = 1
}

/** It holds itself. */
const circle: any = {}
circle.self = circle

const noop = () => {}
const boom = () => {
  throw new RangeError('boom')
}
const later = () => Promise.resolve(1)
const onRecord =
  (use: (ctx: any) => void, state: object = {}): Wrong =>
  ({ keyed }) =>
    keyed.process({ state, onRecord: (_: Event, ctx: any) => use(ctx), onTimer: noop })
const inState = (spec: unknown, use: (handle: any) => void): Wrong => onRecord(ctx => use(ctx.state.s), { s: spec })
const windows = ({ keyed }: Streams) => keyed.window(tumbling('5s'))
const source =
  (options: object): Wrong =>
  ({ app }) =>
    app.source('two', ndjson(anything()), { ...TIME, ...options })
const triggered =
  (result: unknown): Wrong =>
  ({ keyed }) =>
    keyed
      .window(globalWindow())
      .trigger({ ...onEventTime(), onElement: () => result })
      .reduce((a: unknown) => a)

const OPERATOR = "operator '[a-z]+-\\w+'"
const RECORD = `${OPERATOR} at the record of 1970-01-01T00:00:0\\d\\.\\d{3}Z`
const KEYED = `${RECORD} under the key ("u\\d"|1)`
const says = (where: string, what: string) => new RegExp(`^${where}: ${what}`)

/** Found when a record comes, each with the operator, the record, its key where there is one, and what to do. */
const running: readonly Row[] = [
  [
    'a key function that throws',
    ({ events }) => events.keyBy((e: any) => e.user.id).reduce((a: any) => a),
    says(RECORD, 'keyBy\\(.*\\) threw TypeError: .* \\(.*bad-pipelines\\.test\\.ts:\\d+\\)'),
  ],
  [
    'a key that is not there',
    ({ events }) => events.keyBy('usr').reduce((a: any) => a),
    says(RECORD, 'keyBy\\(usr\\) gave undefined: a key is a string, a number or a tuple of them'),
  ],
  [
    'a key that is a promise',
    ({ events }) => events.keyBy(later).reduce((a: any) => a),
    says(RECORD, 'keyBy\\(later\\) gave a Promise'),
  ],
  [
    'a key that is NaN',
    ({ events }) => events.keyBy(() => Number.NaN).reduce((a: any) => a),
    says(RECORD, 'keyBy.* gave NaN, which is no key'),
  ],
  [
    'a key with null in it',
    ({ events }) => events.keyBy(() => ['a', null]).reduce((a: any) => a),
    says(RECORD, 'keyBy.* gave a tuple with null in it'),
  ],
  [
    'a key that changes where it was said to stay',
    ({ keyed }) =>
      keyed
        .map((e: any) => ({ ...e, user_id: 'z' }))
        .keyBy('user_id')
        .reduce((a: any) => a),
    /^keyBy\(user_id\) before the operator '.*' was planned without a shuffle .*: an operator in between changed the key\. Key by a function/,
  ],
  ['map throws', ({ events }) => events.map(boom), says(RECORD, 'map threw RangeError: boom \\(.*:\\d+\\)')],
  ['map gives a promise', ({ events }) => events.map(later), says(RECORD, 'map returned a Promise, .*; use mapAsync')],
  [
    'filter gives a promise',
    ({ events }) => events.filter(later),
    says(RECORD, 'filter returned a Promise, .*; use mapAsync, then filter'),
  ],
  [
    'flatMap gives nothing to iterate',
    ({ events }) => events.flatMap(noop),
    says(RECORD, 'flatMap returned undefined: return an array'),
  ],
  [
    'process gives a promise',
    ({ keyed }) => keyed.process({ onRecord: later }),
    says(KEYED, 'onRecord returned a Promise.*use mapAsync'),
  ],
  [
    'process gives one result instead of a list',
    ({ keyed }) => keyed.process({ onRecord: (e: Event) => ({ id: e.user_id }) }),
    says(KEYED, 'onRecord returned an object: return an array of results, or yield them, or return nothing'),
  ],
  [
    'process gives text',
    ({ events }) => events.process(() => 'abc'),
    says(RECORD, 'process returned "abc": return an array of results'),
  ],
  [
    'reduce forgets to return',
    ({ keyed }) => keyed.reduce(noop),
    says(KEYED, 'reduce returned undefined; it has to return what is kept'),
  ],
  [
    'onTimer throws',
    ({ keyed }) => keyed.process({ onRecord: (_: Event, ctx: any) => ctx.timers.event.set(0), onTimer: boom }),
    says(KEYED, 'onTimer threw RangeError: boom'),
  ],
  [
    'a timer that nobody hears',
    ({ keyed }) => keyed.process({ onRecord: (_: Event, ctx: any) => ctx.timers.event.set(0) }),
    says(KEYED, 'a timer was set, but the process function has no onTimer'),
  ],
  [
    'a timer for no time',
    onRecord(ctx => ctx.timers.event.set(Number.NaN)),
    says(KEYED, "a timer's time must be a number of epoch ms, not NaN"),
  ],
  [
    'a side output by its name',
    onRecord(ctx => ctx.output('late', 1)),
    says(KEYED, "output was given 'late' in the place of a tag: make one with sideOutput"),
  ],
  [
    'a result of no time',
    onRecord(ctx => ctx.output(sideOutput('s'), 1, Number.NaN)),
    says(KEYED, "a result's timestamp must be a number"),
  ],
  [
    'a function in state',
    inState(value(), s => s.set(boom)),
    says(OPERATOR, 'the state \'s\' of the key "u1" is a function, .*: keep plain data'),
  ],
  [
    'an instance of a class in state',
    inState(value(), s => s.set({ prices: [new Money()] })),
    says(OPERATOR, 'the state \'s\' of the key "u1" holds, in prices\\[0\\], an instance of Money, .*: keep plain data'),
  ],
  [
    'a promise in state',
    inState(list(), s => s.add(later())),
    says(OPERATOR, "the state 's' .* an instance of Promise, .*: keep plain data"),
  ],
  [
    'an object that holds itself in state',
    inState(value(), s => s.set({ user: { itself: circle } })),
    says(
      OPERATOR,
      "the state 's' .* holds, in user\\.itself\\.self, a value nested deeper than 256, or a cycle, .*: keep plain data",
    ),
  ],
  [
    'nothing in a list',
    inState(list(), s => s.add(undefined)),
    says(RECORD, "list state 's' was given undefined, which it cannot hold: use null"),
  ],
  [
    'an object as the key of a map',
    inState(map(), s => s.set({}, 1)),
    says(RECORD, "map state 's' was given object as a key: use a string or a number"),
  ],
  [
    'a reducing state that forgets to return',
    inState(reducing(noop as any), s => [s.add(1), s.add(2)]),
    says(RECORD, "the function of the reducing state 's' returned undefined; it has to return what is kept"),
  ],
  [
    'broadcast state that is changed where others do not see it',
    ({ keyed, events }) =>
      keyed.connect(events.broadcast()).process({
        broadcast: { rules: map() },
        onRecord: (_: Event, ctx: any) => ctx.broadcast.rules.set('a', 1),
        onBroadcast: noop,
      }),
    says(KEYED, "the broadcast state 'rules' can only be changed by onBroadcast"),
  ],
  [
    'an aggregate that forgets to return',
    streams => windows(streams).aggregate(aggregate({ createAccumulator: () => 0, add: noop as any, getResult: n => n })),
    says(KEYED, 'the aggregate threw Error: add returned undefined; it has to return what is kept'),
  ],
  [
    'an aggregate that is async without saying so',
    streams => windows(streams).aggregate(aggregate({ createAccumulator: () => 0, add: later as any, getResult: n => n })),
    says(KEYED, 'the aggregate threw Error: add returned a Promise, .*; use mapAsync before the window'),
  ],
  [
    'the sum of a text',
    streams => windows(streams).aggregate(sum('item_id')),
    says(KEYED, "the aggregate threw TypeError: sum\\('item_id'\\) found 'i' there, which is no number"),
  ],
  [
    'the mean of what is not there',
    streams => windows(streams).aggregate(avg('price')),
    says(KEYED, ".*avg\\('price'\\) found undefined there"),
  ],
  [
    'the largest of what is not there',
    streams => windows(streams).aggregate(all({ most: max('price') })),
    says(KEYED, ".*max\\('price'\\) found undefined there"),
  ],
  [
    'a window function that throws',
    streams => windows(streams).aggregate(count(), boom),
    says(KEYED, 'the window function threw RangeError: boom'),
  ],
  [
    'a window function that gives a promise',
    streams => windows(streams).aggregate(count(), later),
    says(KEYED, 'the window function returned a Promise, .*; use mapAsync behind the window'),
  ],
  [
    'a window process that gives a number',
    streams => windows(streams).process(() => 5),
    says(KEYED, 'the window function returned 5: return an array of results'),
  ],
  [
    'a session whose gap is none',
    ({ keyed }) => keyed.window(session(() => -1)).aggregate(count()),
    says(KEYED, 'the gap of session gave -1; it has to give milliseconds above 0'),
  ],
  [
    'a trigger that gives nonsense',
    triggered('YES'),
    says(`${OPERATOR} under the key "u1"`, "the trigger gave 'YES': it gives 'CONTINUE', 'FIRE'"),
  ],
  [
    'a trigger that forgets to return',
    triggered(undefined),
    says(`${OPERATOR} under the key "u1"`, 'the trigger gave undefined'),
  ],
  [
    'an evictor that gives no list',
    streams =>
      windows(streams)
        .evictor({ before: () => 5 })
        .process((r: any) => r),
    says(KEYED, 'the evictor threw TypeError: it gave number; it has to give the list of what stays'),
  ],
  [
    'dedup by an object',
    ({ keyed }) => keyed.dedup(() => ({}), { ttl: '1h' }),
    says(KEYED, 'the id function of dedup gave object: an id is a string or a number'),
  ],
  [
    'topN by what cannot be compared',
    streams =>
      windows(streams)
        .process((r: any) => r)
        .keyBy(() => 1)
        .topN(1, { by: () => Number.NaN }),
    says(KEYED, 'the comparator of topN threw TypeError: it gave NaN; it has to give a number'),
  ],
  [
    'joinWith gives a promise',
    ({ keyed }) => keyed.joinWith(keyed, later),
    says(KEYED, 'joinWith returned a Promise, .*; use mapAsync behind it'),
  ],
  [
    'an interval join gives a promise',
    ({ keyed }) => keyed.intervalJoin(keyed).between('0s', '1s').apply(later),
    says(KEYED, 'intervalJoin returned a Promise, .*; use mapAsync behind it'),
  ],
  [
    'a window join gives a promise',
    ({ keyed }) => keyed.join(keyed).window(tumbling('5s')).apply(later),
    says(KEYED, 'the window function threw TypeError: join returned a Promise, .*; use mapAsync behind it'),
  ],
  [
    'a condition that is a promise',
    ({ keyed }) => keyed.match((begin: any) => begin('a').where(later).followedBy('b').within('1m')),
    says(KEYED, 'a condition of match threw TypeError: where gave a Promise'),
  ],
  [
    'a call that fails',
    ({ events }) => events.mapAsync(async () => boom(), { retries: 0 }),
    says(OPERATOR, 'a call was tried once and failed: RangeError: boom .*\\(to go on without such records, set onFailure\\)'),
  ],
  [
    'a batch call that loses a result',
    ({ events }) => events.mapAsyncBatch(async () => [1], { retries: 0, size: 2 }),
    says(OPERATOR, '.*was given 2 values and returned 1 results: return one result for each value, in order'),
  ],
  [
    'an object that holds itself and is to travel',
    ({ events }) =>
      events
        .map((e: Event) => ({ ...e, circle }))
        .keyBy('user_id')
        .reduce((a: any) => a),
    says(RECORD, 'its field circle\\.self is a value nested deeper than 256, or a cycle, .*: make plain data of it before'),
  ],
  [
    'a function that is to travel',
    ({ events }) =>
      events
        .map((e: Event) => ({ ...e, boom }))
        .keyBy('user_id')
        .reduce((a: any) => a),
    says(RECORD, "its field boom is a function, which can't be sent from one function to another: make plain data of it before"),
  ],
  [
    'a schema that validates asynchronously',
    ({ app }) => app.source('two', ndjson(asyncSchema), TIME),
    /^the schema of source two validates asynchronously: a source needs a synchronous one/,
  ],
  [
    'a watermark strategy that throws',
    source({ watermark: customWatermark('own', () => ({ onRecord: boom })) }),
    /^operator 'two' at the record of .*: the watermark strategy 'own' threw RangeError: boom/,
  ],
  [
    'a watermark that is none',
    source({ watermark: customWatermark('own', () => ({ onRecord: () => Number.NaN })) }),
    /^operator 'two' .*: the watermark strategy 'own' gave NaN: it gives epoch ms/,
  ],
  [
    'a watermark strategy without a generator',
    source({ watermark: customWatermark('own', noop as any) }),
    /^source 'two': the watermark strategy 'own' made no generator: it has no onRecord/,
  ],
  [
    'a sink of one’s own that throws',
    ({ events }) => void events.sink('mine', customSink({ name: 'pager', open: () => ({ write: boom }) })),
    /^operator 'sink-mine': the sink pager: write threw RangeError: boom/,
  ],
]

const asyncSchema: any = { '~standard': { version: 1, vendor: 'own', validate: async (value: unknown) => ({ value }) } }

/** Found when the pipeline is built. */
const building: readonly Row[] = [
  [
    'windows of a stream without a key',
    ({ events }) => events.window(tumbling('1m')),
    /^window: the stream has no key\. Put a keyBy before it: .*or use windowAll/,
  ],
  [
    'dedup of a stream without a key',
    ({ events }) => events.dedup('event_id'),
    /^dedup: the stream has no key\. Put a keyBy before it/,
  ],
  [
    'a join of a stream without a key',
    ({ events, keyed }) => events.join(keyed),
    /^join: the stream has no key\. Put a keyBy before it/,
  ],
  [
    'a sink right behind a window',
    streams => windows(streams).sink('out', print()),
    /^sink: a window gives nothing yet\. Say what becomes of its records: .*\.aggregate\(count\(\)\)/,
  ],
  ['a map right behind a window', streams => windows(streams).map((e: any) => e), /^map: a window gives nothing yet/],
  [
    'half a trigger',
    streams => windows(streams).trigger({ onElement: () => 'FIRE' }),
    /^window: its trigger has no onEventTime\. Use onEventTime\(\)/,
  ],
  [
    'an evictor without a function',
    streams => windows(streams).evictor({}),
    /^window: its evictor has neither before nor after\. Use countEvictor/,
  ],
  ['purging nothing', () => (purging as any)(), /^purging was given no trigger: write purging\(onCount\(100\)\)/],
  ['a count window of 0', () => countWindow(0), /^countWindow: its size is 0: the number of records must be whole and above 0/],
  ['a count window that slides by 0', () => countWindow(5, 0), /^countWindow: its slide is 0/],
  ['all of no aggregates', () => (all as any)(), /^all: it was given no aggregates\. Write all\(\{ sales: count\(\)/],
  [
    'an aggregate that is not called',
    streams => windows(streams).aggregate(count),
    /^window\.aggregate: it was given undefined instead of a function/,
  ],
  [
    'a custom watermark without a function',
    () => (customWatermark as any)('own'),
    /^customWatermark\('own'\) has no function that makes generators/,
  ],
  [
    'a watermark strategy that is not called',
    source({ watermark: boundedOutOfOrderness }),
    /^source 'two': it has no watermark strategy/,
  ],
  [
    'reducing nothing',
    () => (reducing as any)(),
    /^reducing: it was given undefined instead of a function\. Write reducing<number>/,
  ],
  ['reducing asynchronously', () => reducing((async () => 1) as any), /^reducing: its function is async/],
  [
    'aggregating nothing',
    () => (aggregating as any)(),
    /^aggregating: it was given undefined instead of a function\. Give it count\(\)/,
  ],
  [
    'a time to live by an unknown clock',
    () => value({ ttl: { after: '1h', time: 'wall' as any } }),
    /^ttl: time is 'wall'\. Choose 'event' or 'processing'/,
  ],
  [
    'a time to live that something unknown renews',
    () => value({ ttl: { after: '1h', refresh: 'never' as any } }),
    /^ttl: refresh is 'never'\. Choose 'write' or 'read'/,
  ],
  ['a time to live of 0', () => value({ ttl: 0 }), /^ttl 0 must be more than 0/],
  [
    'a map that is loaded in an unknown way',
    () => map({ load: 'some' as any }),
    /^map state: load is 'some'\. Choose 'entry' or 'all'/,
  ],
  [
    'too many states',
    ({ keyed }) =>
      keyed.process({ state: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`s${i}`, list()])), onRecord: noop }),
    /^process: its states come to 32, where a list counts twice, and an operator can have 30\. Put what belongs together/,
  ],
  [
    'a state that is not called',
    ({ keyed }) => keyed.process({ state: { s: value }, onRecord: noop }),
    /^process: state 's' is no state declaration\. Declare it with value\(\)/,
  ],
  ['a sink that is not called', ({ events }) => events.sink('out', print), /^sink 'out': it has nowhere to write/],
  ['redis without a key', () => (redis as any)(), /^redis has no key: write redis\(/],
  ['a file sink without a path', () => fileSink(''), /^fileSink has no path: write fileSink\('out/],
  [
    'a source whose name is a number',
    ({ app }) => app.source('2', ndjson(anything()), TIME),
    /^source '2': its name is a number\. Give it a letter, like 'source2'/,
  ],
  ['a source file without a path', () => ndjson(anything(), { path: '' }), /^fileSource was given a path that is none/],
  [
    'an HTTP sink of a URL alone',
    () => (httpSink as any)('https://pager.example'),
    /^httpSink was given no options: write httpSink/,
  ],
  [
    'a custom sink without open',
    () => (customSink as any)({ name: 'pager' }),
    /^customSink 'pager' has no open: it makes a writer/,
  ],
  ['a custom sink of nothing', () => (customSink as any)(), /^customSink has no name/],
]

function build(): Streams {
  const app: any = pipeline('bad')
  const events = app.source('events', ndjson(anything<Event>()), TIME)
  return { app, events, keyed: events.keyBy('user_id') }
}

/** Whatever is wrong with a pipeline that is run on some records, and ends. */
async function run(wrong: Wrong): Promise<void> {
  const streams = build()
  wrong(streams)?.sink('out', print())
  const sinks = Object.fromEntries(
    streams.app.graph().nodes.flatMap((n: any) => (n.sink?.name === 'mine' ? [['mine', n.sink.sink]] : [])),
  )
  await using t = await openTestPipeline(streams.app, { parallelism: 2, sinks })
  const records = [1, 2, 3, 4].map(i => ({ user_id: `u${i % 2}`, item_id: 'i', event_id: `e${i}`, timestamp: i * 1_000 }))
  for (const { source: spec } of streams.app.graph().nodes) if (spec !== undefined) await t.send(spec.name, records)
  await t.end()
}

function check(error: unknown, message: RegExp): true {
  assert.ok(error instanceof MillraceError, `a MillraceError, not ${error}`)
  assert.match(error.message, message)
  return true
}

for (const [title, wrong, message] of building)
  test(`refused when the pipeline is built: ${title}`, () => {
    assert.throws(
      () => wrong(build()),
      error => check(error, message),
    )
  })

for (const [title, wrong, message] of running)
  test(`refused at the first record: ${title}`, () => assert.rejects(run(wrong), error => check(error, message)))
