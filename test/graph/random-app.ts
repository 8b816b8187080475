import fc from 'fast-check'
import { KeyedStream } from '../../runtime/api/keyed-stream.ts'
import type { Stream } from '../../runtime/api/stream.ts'
import type { PlanOptions } from '../../runtime/graph/planner.ts'
import { count, map, ndjson, type Pipeline, pipeline, print, tumbling } from '../../runtime/index.ts'
import { anything, TIME } from './pipelines.ts'

type Row = { a: string; b: string; timestamp: number }
type Any = Stream<Row> | KeyedStream<Row, string>

/** One more operator behind the streams there are: which, behind which, with which key and parallelism. */
const step = fc.record({
  kind: fc.constantFrom(
    'map',
    'union',
    'keyBy',
    'reduce',
    'window',
    'windowAll',
    'connect',
    'connectAll',
    'broadcast',
    'join',
    'joinWith',
    'sink',
    'dedup',
  ),
  first: fc.nat(),
  second: fc.nat(),
  key: fc.constantFrom('a' as const, 'b' as const, 'function' as const),
  parallelism: fc.option(fc.constantFrom(1, 2, 4), { freq: 4 }),
})
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const B = (r: Row) => r.b
const isKeyed = (s: Any): s is KeyedStream<Row, string> => s instanceof KeyedStream
const again = (r: { a: string }) => ({ ...r }) as Row

function grow(streams: Any[], s: Step, names: { next: number }): Any | undefined {
  const pick = (n: number) => streams[n % streams.length]!
  const by = (stream: Any): KeyedStream<Row, string> => (s.key === 'function' ? stream.keyBy(B) : stream.keyBy(s.key))
  const keyed = (stream: Any) => (isKeyed(stream) ? stream : by(stream))
  const first = pick(s.first)
  const second = pick(s.second)
  switch (s.kind) {
    case 'map':
      return first.map(again)
    case 'union':
      return (first as Stream<Row>).union(second).map(again)
    case 'keyBy':
      return by(first).map(again)
    case 'reduce':
      return by(first).reduce(a => a)
    case 'dedup':
      return keyed(first).dedup('a', { ttl: '1h' })
    case 'window':
      return keyed(first)
        .window(tumbling('1m'))
        .aggregate(count())
        .map(n => ({ a: `${n}`, b: '', timestamp: n }))
    case 'windowAll':
      return first
        .windowAll(tumbling('1m'))
        .aggregate(count())
        .map(n => ({ a: `${n}`, b: '', timestamp: n }))
    case 'connect':
      return keyed(first)
        .connect(keyed(second))
        .process({ onFirst: r => [r], onSecond: r => [r] })
    case 'connectAll':
      return isKeyed(first) ? undefined : first.connect(second).process({ onFirst: r => [r], onSecond: r => [r] })
    case 'broadcast':
      return keyed(first)
        .connect(second.broadcast())
        .process({ broadcast: { x: map<string, number>() }, onRecord: r => [r], onBroadcast() {} })
    case 'join':
      return keyed(first)
        .join(keyed(second))
        .window(tumbling('1m'))
        .apply(left => left)
    case 'joinWith':
      return keyed(first).joinWith(keyed(second), left => left)
    default:
      first.sink(`sink-${names.next++}`, print())
      return undefined
  }
}

/** Any pipeline, and how it is to be planned. */
export const randomApp: fc.Arbitrary<{ app: Pipeline; options: PlanOptions }> = fc
  .tuple(fc.array(step, { maxLength: 25 }), fc.constantFrom(1, 2, 4), fc.boolean(), fc.integer({ min: 1, max: 3 }))
  .map(([steps, parallelism, chaining, sources]) => {
    const app = pipeline('random')
    const streams: Any[] = Array.from({ length: sources }, (_, i) => app.source(`s${i}`, ndjson(anything<Row>()), TIME))
    const names = { next: 0 }
    for (const s of steps) {
      const grown = grow(streams, s, names)
      if (grown === undefined) continue
      if (s.parallelism !== null) grown.parallelism(s.parallelism)
      streams.push(grown)
    }
    return { app, options: { parallelism, chaining } }
  })
