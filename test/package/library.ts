/*
 * What somebody shares with other files of theirs, compiled with `declaration: true`: the types of all that the API gives are written out, so each needs
 * a name that can be imported from millrace. (package.test.ts puts this file into a project that has the package.)
 */
import {
  AsyncCallError,
  aggregating,
  avg,
  ConnectorError,
  type CustomWriter,
  count,
  customSink,
  type Evictor,
  type KeyedContext,
  list,
  type MergeContext,
  map,
  monotonous,
  ndjson,
  onEventTime,
  pipeline,
  type RunSummary,
  reducing,
  StateMismatchError,
  type StreamContext,
  sideOutput,
  type TimestampedValue,
  type Trigger,
  type TriggerContext,
  type TriggerResult,
  tumbling,
  UserCodeError,
  type ValueSpec,
  value,
} from 'millrace'
import * as z from 'zod'

const Event = z.object({ id: z.string(), n: z.number(), at: z.number() })
type Event = z.infer<typeof Event>

export const app = pipeline('shared')
export const events = app.source('events', ndjson(Event), { time: e => e.at, watermark: monotonous() })
export const dead = events.deadLetters()
export const keyed = events.keyBy('id')
export const several = events.keyBy(['id', 'n'])
export const interval = keyed.intervalJoin(keyed)
export const bounded = interval.between(0, 1)
export const joining = keyed.join(keyed)
export const windowed = joining.window(tumbling('1m'))
export const grouping = keyed.coGroup(keyed)
export const grouped = grouping.window(tumbling('1m'))
export const both = events.connect(events)
export const keyedBoth = keyed.connect(keyed)
export const broadcast = events.broadcast()
export const ruled = keyed.connect(broadcast)
export const windows = keyed.window(tumbling('1m'))
export const counts = windows.aggregate(count(), (n, info) => ({ n, info }))
export const table = keyed.latest()
export const keyedTable = table.keyBy('id')
export const best = keyed.topN(1, { by: ['n'] })
export const matches = keyed.match(begin => begin('first').followedBy('second'))
export const end = events.sink('end', customSink<Event>({ name: 'end', open: () => ({ write() {} }) }))
export const late = sideOutput<Event>('late')

export const states = {
  one: value<number>({ ttl: '1h' }),
  some: list<string>(),
  each: map<string, number>(),
  total: reducing<number>((a, b) => a + b),
  mean: aggregating(avg('n')),
}
export const counted = keyed.process({ state: states, onRecord: (_, ctx) => [ctx.state.one.get()] })

export const seen = (ctx: StreamContext) => ctx.currentWatermark
export const last = (ctx: KeyedContext<{ one: ValueSpec<number> }, string>) => [ctx.key, ctx.state.one, ctx.timers] as const

function fire(ctx: TriggerContext): TriggerResult {
  return ctx.currentWatermark > 0 ? 'FIRE' : 'CONTINUE'
}
export const trigger: Trigger<Event> = {
  ...onEventTime(),
  onElement: (_event, _at, _window, ctx) => fire(ctx),
  onMerge(_window, ctx: MergeContext) {
    ctx.set('n', ctx.merged('n').length)
  },
}
const recent = (elements: readonly TimestampedValue<Event>[]) => elements.slice(-1)
export const evictor: Evictor<Event> = { before: recent }
export const writer = (): CustomWriter<Event> => ({ write() {} })

export const kind = (error: unknown) =>
  [AsyncCallError, ConnectorError, StateMismatchError, UserCodeError].find(type => error instanceof type)?.name
export const rate = ({ events, elapsedMs }: RunSummary) => events / elapsedMs
