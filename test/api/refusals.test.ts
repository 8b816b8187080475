import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  aggregate,
  count,
  countDistinct,
  filtered,
  MillraceError,
  map,
  monotonous,
  ndjson,
  pipeline,
  print,
  session,
  sideOutput,
  sliding,
  sum,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { anything, type Event, TIME } from '../graph/pipelines.ts'

/** What tsc refuses too has to be refused for those who write JavaScript, or cast: everything is `any` here. */
function build(): { app: any; events: any; keyed: any } {
  const app = pipeline('refusals')
  const events = app.source('events', ndjson(anything<Event>()), TIME)
  return { app, events, keyed: events.keyBy('user_id') }
}

const cases: [title: string, wrong: (p: ReturnType<typeof build>) => unknown, message: RegExp][] = [
  ['keyBy without a key', p => p.events.keyBy(), /^keyBy: it was given undefined, which declares no key\. Give it a field/],
  ['keyBy of no fields', p => p.events.keyBy([]), /^keyBy: .*declares no key/],
  ['keyBy with an async function', p => p.events.keyBy(async (e: Event) => e.user_id), /^keyBy: its function is async/],
  ['map with an async function', p => p.events.map(async (e: Event) => e), /^map: its function is async.*Use mapAsync/],
  ['filter without a function', p => p.events.filter('click'), /^filter: it was given 'click' instead of a function/],
  ['flatMap with an async generator', p => p.events.flatMap(async function* () {}), /^flatMap: its function is async/],
  ['process with an async function', p => p.keyed.process({ async onRecord() {} }), /^process: its function is async/],
  ['reduce with nothing', p => p.keyed.reduce(), /^reduce: it was given undefined instead of a function/],
  [
    'an aggregate that cannot take back, of rows that change',
    p => p.keyed.latest().keyBy('item_id').aggregate(countDistinct('user_id')),
    /^aggregate: .*has no retract.*Use count, sum or avg/,
  ],
  [
    'a running aggregate without an aggregate',
    p => p.keyed.aggregate(),
    /^aggregate: it was given undefined instead of a function/,
  ],
  ['a running topN of none', p => p.keyed.runningTopN(0, { by: ['-n'] }), /^runningTopN: how many to keep is 0/],
  ['filtered without a predicate', () => (filtered as any)(count()), /^filtered: it was given undefined instead of a function/],
  [
    'a sink name twice',
    p => [p.events.sink('out', print()), p.events.sink('out', print())],
    /^sink 'out': there is already a sink of this name/,
  ],
  [
    'a source name twice',
    p => p.app.source('events', ndjson(anything()), TIME),
    /^source 'events': there is already a source of this name/,
  ],
  [
    'a source without time',
    p => p.app.source('b', ndjson(anything()), { watermark: monotonous() }),
    /^source 'b': .*\{ time: e => e.timestamp \}/,
  ],
  [
    'a source without watermarks',
    p => p.app.source('b', ndjson(anything()), { time: () => 0 }),
    /^source 'b': it has no watermark strategy/,
  ],
  ['a source without schema', p => p.app.source('b', {}, TIME), /^source 'b': it has no schema/],
  ['a sink that is none', p => p.events.sink('out', 'file'), /^sink 'out': it has nowhere to write/],
  ['an uid twice', p => [p.events.map(id).uid('x'), p.events.map(id).uid('x')], /^map: the uid 'x' is taken by map/],
  ['an uid with blanks', p => p.events.map(id).uid('a b'), /^map: the uid 'a b' can't be used/],
  ['an uid behind keyBy', p => p.keyed.uid('x'), /^\.uid\(\): it stands behind a keyBy or a union/],
  ['parallelism 0', p => p.events.map(id).parallelism(0), /^parallelism of map: the number of subtasks is 0/],
  ['parallelism 1.5', p => p.events.map(id).parallelism(1.5), /whole number of at least 1/],
  ['parallelism of a source', p => p.events.parallelism(2), /^source 'events': .*subtask for each of its splits/],
  ['parallelism of windowAll', p => p.events.windowAll(tumbling('1m')).reduce(id).parallelism(2), /^windowAll: .*one subtask/],
  ['a window of size 0', p => p.keyed.window(tumbling(0)), /tumbling window size 0 must be more than 0/],
  ['a slide of 0', p => p.keyed.window(sliding('1m', 0)), /sliding window slide 0 must be more than 0/],
  ['a window without assigner', p => p.keyed.window('1m'), /^window: it was given '1m'/],
  [
    'a session window of what can not merge',
    p => p.keyed.window(session('1m')).aggregate(withoutMerge),
    /aggregate has no merge/,
  ],
  ['an aggregate without add', p => p.keyed.window(tumbling('1m')).aggregate({}), /^window\.aggregate: .*createAccumulator/],
  [
    'a negative lateness',
    p => p.keyed.window(tumbling('1m')).allowedLateness('-1s'),
    /allowedLateness '-1s' must not be negative/,
  ],
  [
    'two states of one name',
    p =>
      p.keyed
        .connect(p.events.broadcast())
        .process({ state: { x: value() }, broadcast: { x: map() }, onRecord() {}, onBroadcast() {} }),
    /^connect: it declares two states named 'x'/,
  ],
  [
    'a state that is none',
    p => p.keyed.process({ state: { x: 1 }, onRecord() {} }),
    /^process: state 'x' is no state declaration/,
  ],
  [
    'broadcast state that is no map',
    p => p.keyed.connect(p.events.broadcast()).process({ broadcast: { x: value() }, onRecord() {}, onBroadcast() {} }),
    /^connect: broadcast state 'x' is no map/,
  ],
  [
    'a broadcast stream connected with one without key',
    p => p.events.connect(p.events.broadcast()).process({ broadcast: {}, onRecord() {}, onBroadcast() {} }),
    /^connect: a stream without a key was given a broadcast stream.*Put a keyBy before it: users\.keyBy\('user_id'\)/,
  ],
  ['connect with what is no stream', p => p.events.connect('events'), /^connect: it was given 'events'\. Give it another stream/],
  ['a join with a stream without key', p => p.keyed.joinWith(p.events, id), /^joinWith: the other stream has no key/],
  [
    'an interval that is upside down',
    p => p.keyed.intervalJoin(p.keyed).between('1m', '-1m'),
    /^intervalJoin: its lower bound 1m is above/,
  ],
  ['dedup without ttl', p => p.keyed.dedup('event_id'), /^dedup: it has no ttl/],
  ['topN of 0', p => p.keyed.topN(0, { by: ['item_id'] }), /^topN: how many to keep is 0/],
  ['topN without order', p => p.keyed.topN(1, {}), /^topN: it was told to order by undefined/],
  ['a side output of map', p => p.events.map(id).sideOutput(sideOutput('late')), /^map: it has no side output 'late'/],
  [
    'a side output of a union',
    p => p.events.union(p.events).sideOutput(sideOutput('late')),
    /^\.sideOutput\(\): it stands behind/,
  ],
  ['mapAsync with capacity 0', p => p.events.mapAsync(async () => 1, { capacity: 0 }), /^mapAsync: capacity is 0/],
  ['mapAsync with an unknown order', p => p.events.mapAsync(async () => 1, { order: 'random' }), /^mapAsync: order is 'random'/],
  [
    'mapAsync with an unknown failure',
    p => p.events.mapAsync(async () => 1, { onFailure: 'retry' }),
    /^mapAsync: onFailure is 'retry'/,
  ],
  [
    'mapAsync with a wrong timeout',
    p => p.events.mapAsync(async () => 1, { timeout: '2 sec' }),
    /^mapAsync: timeout '2 sec' is not a duration/,
  ],
  [
    'streams of two pipelines in a union',
    p => p.events.union(build().events),
    /^union: it brings together streams of two pipelines/,
  ],
  ['streams of two pipelines in a join', p => p.keyed.join(build().keyed), /^join: it brings together streams of two pipelines/],
  ['select of nothing', p => p.events.select(), /^select: /],
  ['sum of nothing', () => (sum as any)(), /^sum: it needs the name of a field/],
]

const id = (value: unknown) => value
const withoutMerge = aggregate({ createAccumulator: () => 0, add: (n: number, _e: Event) => n + 1, getResult: n => n })

for (const [title, wrong, message] of cases) {
  test(`refused when the pipeline is built: ${title}`, () => {
    assert.throws(
      () => wrong(build()),
      (error: unknown) => {
        assert.ok(error instanceof MillraceError, `a MillraceError, not ${error}`)
        assert.match(error.message, message)
        assert.equal(error.retryable, false)
        return true
      },
    )
  })
}

test('a pipeline has a name that can be part of others, and a source', () => {
  assert.throws(() => pipeline('a b'), /pipeline 'a b'/)
  assert.throws(() => pipeline('a', { keyGroups: 0 }), /keyGroups is 0/)
  assert.throws(() => pipeline('a').graph(), /it has no source/)
})
