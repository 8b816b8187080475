import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ordering } from '../../runtime/api/ordering.ts'
import type { OperatorNode } from '../../runtime/graph/graph.ts'
import {
  all,
  avg,
  boundedOutOfOrderness,
  count,
  customWatermark,
  list,
  max,
  min,
  monotonous,
  ndjson,
  pipeline,
  print,
  sideOutput,
  sum,
  tumbling,
  value,
} from '../../runtime/index.ts'
import { anything, type Event, recommendations, TIME } from '../graph/pipelines.ts'

function build() {
  const app = pipeline('graph')
  return { app, events: app.source('events', ndjson(anything<Event>()), TIME) }
}

const edges = (node: OperatorNode) =>
  node.inputs.map(list =>
    list.map(
      e =>
        `${e.from.name}${e.output === 'out' ? '' : `:${e.output}`} ${e.exchange.kind}${e.exchange.kind === 'key' ? (e.exchange.inherited ? ' kept' : ` ${e.exchange.key.label}`) : ''}`,
    ),
  )
const last = (app: ReturnType<typeof pipeline>) => app.graph().nodes.at(-1)!

test('a stateless operator keeps the key, so that a keyed one may follow without keyBy', () => {
  const { app, events } = build()
  events
    .keyBy('user_id')
    .map(e => e.item_id)
    .filter(() => true)
    .reduce(a => a)
  assert.deepEqual(app.graph().nodes.map(edges), [[], [['events key user_id']], [['map key kept']], [['filter key kept']]])
})

test('connect without a key is one operator, to be named, sized and listened to', () => {
  const { app, events } = build()
  const other = app.source('other', ndjson(anything<Event>()), TIME)
  const odd = sideOutput<Event>('odd')
  const both = { onFirst: (e: Event) => [e], onSecond: (e: Event) => [e] }
  const connected = events.connect(other).process(both).uid('both').name('either').parallelism(3)
  connected.sideOutput(odd).sink('odd', print())
  const node = app.graph().nodes.find(n => n.type === 'connect')!
  assert.deepEqual([node.uid, node.name, node.parallelism], ['both', 'either', 3])
  assert.deepEqual(edges(node), [['first forward', 'second forward']])
  assert.deepEqual(edges(last(app)), [['either:odd forward']])
  // The records of a stream that is to be keyed need not move for it.
  events.connect(other.keyBy('user_id')).process(both)
  assert.deepEqual(edges(app.graph().nodes.at(-2)!), [['other forward']])
})

test('a union is no operator, but several edges of the next one', () => {
  const { app, events } = build()
  const other = app.source('other', ndjson(anything<Event>()), TIME)
  events
    .union(
      other,
      events.filter(() => true),
    )
    .map(e => e)
  assert.deepEqual(edges(last(app)), [['events forward', 'other forward', 'filter forward']])
})

test('a union of keyed streams is keyed, each record by its own stream', () => {
  const { app, events } = build()
  const other = app.source('other', ndjson(anything<Event>()), TIME)
  events
    .keyBy(e => e.user_id)
    .union(other.keyBy('item_id'))
    .reduce(a => a)
  assert.deepEqual(edges(last(app)), [['events key e => e.user_id', 'other key item_id']])
  assert.equal(last(app).key!.label, 'e => e.user_id | item_id')
})

test('a union with a stream without a key has none', () => {
  const { app, events } = build()
  events
    .keyBy('user_id')
    .reduce(a => a)
    .union(events)
    .map(e => e)
  assert.deepEqual(edges(last(app)), [['reduce forward', 'events forward']])
  assert.equal(last(app).key, undefined)
})

test('dead letters and side outputs are outputs of their operator', () => {
  const { app, events } = build()
  events.deadLetters().map(letter => letter.reason)
  assert.deepEqual(edges(last(app)), [['events:dead-letters forward']])
  const late = sideOutput<Event>('late')
  events.keyBy('user_id').window(tumbling('1m')).lateTo(late).aggregate(count()).sideOutput(late).sink('late', print())
  assert.deepEqual(edges(last(app)), [['window:late key kept']])
})

test('windowAll brings everything to one subtask, and no key remains', () => {
  const { app, events } = build()
  events.windowAll(tumbling('1m')).aggregate(count())
  assert.deepEqual([edges(last(app)), last(app).parallelism, last(app).key], [[['events key all']], 1, undefined])
})

test('every operator can be made, and declares as many states as it has', () => {
  for (const node of recommendations().graph().nodes) {
    if (node.source === undefined) assert.ok(node.create!(), node.type)
  }
  const { app, events } = build()
  events.keyBy('user_id').process({ state: { a: value<number>(), b: list<string>({ ttl: '1h' }) }, onRecord() {} })
  assert.deepEqual(
    last(app).states.map(s => [s.name, s.primitive, s.ttl?.ms]),
    [
      ['a', 'value', undefined],
      ['b', 'map', 3_600_000],
      ['b#', 'value', 3_600_000],
    ],
  )
})

test('settings reach the operator right before them', () => {
  const { app, events } = build()
  events
    .map(e => e)
    .uid('m')
    .name('copy')
    .parallelism(3)
    .sink('out', print())
    .uid('s')
    .parallelism(1)
  const [, copy, sink] = app.graph().nodes
  assert.deepEqual([copy!.uid, copy!.name, copy!.parallelism], ['m', 'copy', 3])
  assert.deepEqual([sink!.uid, sink!.name, sink!.parallelism], ['s', 'out', 1])
})

test('watermark strategies', () => {
  const after = (strategy: ReturnType<typeof monotonous>, ...times: number[]) => {
    const generator = strategy.create()
    return times.map(t => generator.onRecord(t, undefined))
  }
  assert.deepEqual(after(monotonous(), 10, 5, 20), [9, 9, 19])
  assert.deepEqual(after(boundedOutOfOrderness('10ms'), 10, 5, 20), [-1, -1, 9])
  assert.deepEqual(
    after(
      customWatermark('own', () => ({ onRecord: t => t * 2 })),
      10,
      5,
    ),
    [20, 10],
  )
  const { app } = build()
  app.source('idle', ndjson(anything<Event>()), { ...TIME, idleAfter: '5s' })
  assert.equal(last(app).source!.watermark.idleAfter, 5000)
  assert.deepEqual(after(last(app).source!.watermark, 10), [9])
})

test('declarative aggregates', () => {
  const of = (rows: { x: number }[]) => {
    const both = all({ n: count(), sum: sum('x'), min: min('x'), max: max('x'), avg: avg('x') })
    const half = Math.ceil(rows.length / 2)
    const fold = (part: { x: number }[]) => part.reduce((acc, row) => both.add(acc, row), both.createAccumulator())
    const [whole, merged] = [fold(rows), both.merge!(fold(rows.slice(0, half)), fold(rows.slice(half)))]
    assert.deepEqual(both.getResult(whole), both.getResult(merged))
    assert.deepEqual(both.fields, ['x'])
    return both.getResult(whole)
  }
  assert.deepEqual(of([{ x: 3 }, { x: 1 }, { x: 5 }]), { n: 3, sum: 9, min: 1, max: 5, avg: 3 })
  assert.deepEqual(of([{ x: -1 }]), { n: 1, sum: -1, min: -1, max: -1, avg: -1 })
})

test('fields to order by', () => {
  const rows = [
    { v: 1, id: 'b' },
    { v: 2, id: 'c' },
    { v: 2, id: 'a' },
  ]
  assert.deepEqual(
    rows.sort(ordering(['-v', 'id'], 'topN')).map(r => r.id),
    ['a', 'c', 'b'],
  )
})
