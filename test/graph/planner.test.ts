import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describePlan } from '../../runtime/graph/description.ts'
import { type PlanOptions, planPhysical } from '../../runtime/graph/planner.ts'
import { count, fileSource, ndjson, pipeline, print, sum, tumbling } from '../../runtime/index.ts'
import { checkPlan } from './check.ts'
import { anything, type Event, recommendations, TIME } from './pipelines.ts'

const stagesOf = (app: { graph(): any }, options = {}) => {
  const plan = planPhysical(app.graph(), options)
  checkPlan(app.graph(), plan)
  return plan.stages.map(stage => stage.nodes.map(node => node.name))
}

test('the recommendation pipeline has three shuffles: users, trending, users again behind the broadcast', () => {
  assert.deepEqual(stagesOf(recommendations(), { parallelism: 4 }), [
    ['events'],
    ['dedup', 'bot filter', 'window'],
    ['window', 'topN', 'trending'],
    ['user tower', 'ann', 'connect', 'window', 'joinWith', 'mapAsyncBatch', 'rankings'],
  ])
})

test('with one subtask everywhere nothing needs repartitioning', () => {
  assert.equal(stagesOf(recommendations(), { parallelism: 1 }).length, 2)
})

test('what a stage boundary cuts under an unchanged key is still sent by key', () => {
  const plan = describePlan(planPhysical(recommendations().graph(), { parallelism: 4 }))
  assert.equal(plan.shuffles, 3)
  const cut = plan.edges.find(e => e.reason.startsWith('passed on by'))!
  assert.deepEqual([cut.exchange, cut.key, cut.carryKey], ['key', 'user_id', true])
})

test('unchained, each operator is a stage', () => {
  const app = recommendations()
  const plan = planPhysical(app.graph(), { chaining: false, parallelism: 2 })
  checkPlan(app.graph(), plan)
  assert.equal(plan.stages.length, app.graph().nodes.length)
})

function events() {
  const app = pipeline('p')
  return { app, events: app.source('events', ndjson(anything<Event>()), TIME) }
}

test('a keyBy by the key that records run under costs nothing, and is verified', () => {
  const { app, events: e } = events()
  e.keyBy('user_id')
    .dedup('event_id', { ttl: '1h' })
    .keyBy('user_id')
    .reduce(a => a)
    .sink('out', print())
  assert.deepEqual(stagesOf(app, { parallelism: 4 }), [['events'], ['dedup', 'reduce', 'out']])
  const plan = describePlan(planPhysical(app.graph(), { parallelism: 4 }))
  assert.deepEqual(
    plan.elided.map(x => [x.key, x.reason]),
    [['user_id', 'the records are already grouped by this key']],
  )
})

test('a keyBy by the same function costs nothing; by another one it is a shuffle', () => {
  const { app, events: e } = events()
  const user = (x: Event) => x.user_id
  e.keyBy(user)
    .reduce(a => a)
    .keyBy(user)
    .reduce(a => a)
    .keyBy(x => x.user_id)
    .reduce(a => a)
  assert.equal(stagesOf(app, { parallelism: 4 }).length, 3)
})

test('branches of one stream under one key share a stage', () => {
  const { app, events: e } = events()
  e.keyBy('user_id').dedup('event_id', { ttl: '1h' }).sink('a', print())
  e.keyBy('user_id').window(tumbling('1m')).aggregate(count()).sink('b', print())
  assert.deepEqual(stagesOf(app, { parallelism: 4 }), [['events'], ['dedup', 'a', 'window', 'b']])
})

test('the two sides of a join keyed alike share a stage', () => {
  const app = pipeline('p')
  const a = app
    .source('a', ndjson(anything<Event>()), TIME)
    .keyBy('user_id')
    .reduce(x => x)
  const b = app
    .source('b', ndjson(anything<Event>()), TIME)
    .keyBy('user_id')
    .reduce(x => x)
  a.joinWith(b, left => left).sink('out', print())
  assert.deepEqual(stagesOf(app, { parallelism: 4 }), [['a'], ['b'], ['reduce', 'reduce', 'joinWith', 'out']])
})

test('a stateless operator behind a union is copied to its inputs', () => {
  const app = pipeline('p')
  const a = app.source('a', ndjson(anything<Event>()), TIME)
  const b = app.source('b', ndjson(anything<Event>()), TIME)
  a.union(b)
    .map(e => e)
    .filter(() => true)
    .keyBy('user_id')
    .reduce(x => x)
  assert.deepEqual(stagesOf(app, { parallelism: 4 }), [['a', 'map', 'filter'], ['b', 'map', 'filter'], ['reduce']])
})

test('a stream joined with itself under another key is repartitioned, never re-keyed in place', () => {
  // If the join were chained to its left input's stage, its right input would find its key in the wrong subtask.
  const { app, events: e } = events()
  const left = e.keyBy('user_id').reduce(a => a)
  left.joinWith(left.keyBy('item_id'), a => a).sink('out', print())
  stagesOf(app, { parallelism: 4 })
  const other = left.keyBy('item_id').reduce(a => a)
  left.joinWith(other, a => a).sink('out2', print())
  stagesOf(app, { parallelism: 4 })
})

test('a stream connected with its own broadcast is no cycle', () => {
  const { app, events: e } = events()
  const users = e.keyBy('user_id').reduce(a => a)
  users.connect(users.broadcast()).process({ broadcast: {}, onRecord: a => [a], onBroadcast() {} })
  assert.equal(stagesOf(app, { parallelism: 4 }).length, 3)
})

test('another parallelism breaks the chain; one subtask before and after re-keys in place', () => {
  const { app, events: e } = events()
  e.keyBy('item_id')
    .reduce(a => a)
    .parallelism(1)
    .keyBy('user_id')
    .reduce(a => a)
    .parallelism(1)
    .map(x => x)
    .parallelism(2)
  assert.deepEqual(stagesOf(app, { parallelism: 4 }), [['events'], ['reduce', 'reduce'], ['map']])
})

test('only the fields that are read travel, for each reader its own', () => {
  const app = pipeline('p')
  const sales = app.source('sales', ndjson(anything<{ shop: string; price: number; tax: number; timestamp: number }>()), TIME)
  const keyed = sales.keyBy('shop')
  keyed.window(tumbling('1m')).aggregate(sum('price')).parallelism(2).sink('a', print())
  keyed.window(tumbling('1m')).aggregate(sum('tax')).parallelism(3).sink('b', print())
  keyed.reduce(a => a).parallelism(5)
  sales
    .keyBy(s => s.shop)
    .window(tumbling('1m'))
    .aggregate(count())
    .parallelism(7)
  const edges = planPhysical(app.graph()).stages.flatMap(s => s.inputs)
  assert.deepEqual(
    edges.map(e => [e.fields, e.carryKey]),
    [
      [['price', 'shop'], false],
      [['shop', 'tax'], false],
      [undefined, false],
      [[], true],
    ],
  )
})

test('operators of one stage that read a stream by the same key share its edge, with the fields of all', () => {
  const app = pipeline('p')
  const sales = app.source('sales', ndjson(anything<{ shop: string; price: number; tax: number; timestamp: number }>()), TIME)
  sales.keyBy('shop').window(tumbling('1m')).aggregate(sum('price')).sink('prices', print())
  sales.keyBy('shop').window(tumbling('1m')).aggregate(sum('tax')).sink('taxes', print())
  const plan = planPhysical(app.graph(), { parallelism: 4 })
  checkPlan(app.graph(), plan)
  const edges = plan.stages.flatMap(s => s.inputs)
  assert.deepEqual(
    edges.map(e => [e.fields, e.targets.map(t => t.node.detail)]),
    [
      [
        ['price', 'shop', 'tax'],
        ['tumbling 1m', 'tumbling 1m'],
      ],
    ],
  )
  sales
    .keyBy('shop')
    .reduce(a => a)
    .sink('all', print())
  const [all] = planPhysical(app.graph(), { parallelism: 4 }).stages.flatMap(s => s.inputs)
  assert.deepEqual([all!.fields, all!.targets.length], [undefined, 3])
})

test('a stream that is joined with itself travels once, to both inputs', () => {
  const { app, events: e } = events()
  const users = e.keyBy('user_id')
  users.joinWith(users, a => a).sink('out', print())
  const plan = planPhysical(app.graph(), { parallelism: 4 })
  checkPlan(app.graph(), plan)
  assert.deepEqual(
    plan.stages.flatMap(s => s.inputs).map(edge => edge.targets.map(t => t.input)),
    [[0, 1]],
  )
})

test('more subtasks than key groups are refused, with who wanted them and what to do', () => {
  const { app, events: e } = events()
  const reduced = e.keyBy('user_id').reduce(a => a)
  reduced.uid('latest').sink('out', print())
  assert.equal(planPhysical(app.graph(), { parallelism: 128 }).stages[1]!.parallelism, 128)
  assert.throws(() => planPhysical(app.graph(), { parallelism: 129 }), {
    message:
      'operator latest, by default, has a parallelism of 129, but there are only 128 key groups: choose a parallelism of at most 128, or more keyGroups in pipeline()',
  })
  reduced.parallelism(200)
  assert.throws(() => planPhysical(app.graph()), /operator latest, by its \.parallelism\(\), has a parallelism of 200, but/)
  const wide = pipeline('wide', { keyGroups: 256, parallelism: 200 })
  wide
    .source('events', ndjson(anything<Event>()), TIME)
    .keyBy('user_id')
    .reduce(a => a)
    .sink('out', print())
  assert.equal(planPhysical(wide.graph()).stages[1]!.parallelism, 200)
})

test('a parallelism above the key groups that only sources would have is none: their splits decide', () => {
  const { app, events: e } = events()
  e.filter(() => true).sink('out', print())
  assert.equal(planPhysical(app.graph(), { parallelism: 1000 }).stages.length, 1)
})

test('operator ids stay when something else is added, and follow their own inputs', () => {
  const build = (extra: boolean) => {
    const { app, events: e } = events()
    if (extra)
      e.filter(() => true)
        .map(x => x)
        .sink('extra', print())
    e.keyBy('user_id')
      .dedup('event_id', { ttl: '1h' })
      .window(tumbling('1m'))
      .aggregate(count())
      .uid('counts')
      .sink('out', print())
    return new Map(planPhysical(app.graph()).stages.flatMap(s => s.nodes.map(n => [`${n.type}/${n.name}`, s.ids.get(n)])))
  }
  const before = build(false)
  const after = build(true)
  for (const [operator, id] of before) assert.equal(after.get(operator), id)
  assert.equal(before.get('window/window'), 'counts')
})

test('the plan is plain data', () => {
  const app = recommendations()
  app.source('more', { schema: anything<Event>(), connector: fileSource(['x.ndjson']) }, { ...TIME, idleAfter: '30s' })
  const plan = describePlan(planPhysical(app.graph()))
  assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan)
  assert.deepEqual(plan.sources[1], {
    name: 'more',
    operator: 'source-more',
    connector: 'file x.ndjson',
    watermark: 'monotonous',
    idleAfterMs: 30000,
    schema: { vendor: 'test' },
  })
})

test('a plan may give single operators another parallelism than the pipeline does', () => {
  const { app, events: e } = events()
  e.keyBy('user_id')
    .dedup('event_id', { ttl: '1h' })
    .uid('dedup')
    .parallelism(2)
    .keyBy('item_id')
    .reduce(a => a)
    .uid('latest')
    .sink('out', print())
  const sizes = (options: PlanOptions) => planPhysical(app.graph(), options).stages.map(s => [s.id, s.parallelism])
  assert.deepEqual(sizes({ parallelismOf: { dedup: 4, latest: 8 } }).slice(1), [
    ['dedup', 4],
    ['latest', 8],
  ])
  // The pipeline itself is as it was.
  assert.deepEqual(sizes({}).slice(1), [
    ['dedup', 2],
    ['latest', 1],
  ])
  assert.throws(() => sizes({ parallelismOf: { latests: 4 } }), /there is no operator 'latests': there is .*latest/)
  assert.throws(() => sizes({ parallelismOf: { 'source-events': 4 } }), /source-events can't be set: it is a source/)
  assert.throws(() => sizes({ parallelismOf: { latest: 0.5 } }), /a whole number above 0/)
})
