/**
 * State that is larger than the memory given to it: `KEYS` keys, each met twice in different orders, under a heap that could not hold them.
 *
 *   node --max-old-space-size=512 bench/large-state.ts reduce|map|window [KEYS] [STATE_MB]
 *
 * Prints one line of JSON: whether the result is right, seconds, and the highest RSS. It measures a process with one subtask a stage and the state
 * on this machine's disk; not what several machines would do.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { SourceConnector, SourcePosition } from '../runtime/connectors/source.ts'
import { runEmbedded } from '../runtime/embedded/engine.ts'
import { count, customSink, map, monotonous, ndjson, type Pipeline, pipeline, type Sink, tumbling } from '../runtime/index.ts'

interface Hit {
  readonly user: string
  readonly at: number
}

/** As fast as a schema can be: this measures state. */
const HIT = { '~standard': { version: 1, vendor: 'bench', validate: (value: unknown) => ({ value: value as Hit }) } } as const

/** Keys 0 to n - 1, then all of them again in another order (`STRIDE` is prime). */
const STRIDE = 7_919

function hits(keys: number): SourceConnector {
  return {
    kind: 'generated',
    splits: async () => ['0'],
    describe: () => `${2 * keys} hits`,
    async open() {
      return {
        async read(position: SourcePosition | undefined, limit: number) {
          const from = Number(position?.index ?? 0)
          const to = Math.min(2 * keys, from + limit)
          const records: string[] = []
          for (let i = from; i < to; i++) {
            const key = i < keys ? i : ((i - keys) * STRIDE) % keys
            records.push(`{"user":"user-${key}","at":${i}}`)
          }
          return { records, after: i => ({ index: from + i + 1 }), next: { index: to }, done: to === 2 * keys }
        },
        async close() {},
      }
    },
  }
}

const VARIANTS: Record<string, (app: Pipeline, sink: Sink<any>) => void> = {
  reduce(app, sink) {
    source(app)
      .map(e => ({ user: e.user, n: 1 }))
      .keyBy('user')
      .reduce((a, b) => ({ user: a.user, n: a.n + b.n }))
      .sink('out', sink)
  },
  map(app, sink) {
    source(app)
      .keyBy('user')
      .process({
        state: { seen: map<string, number>() },
        onRecord(e, ctx) {
          const n = (ctx.state.seen.get('n') ?? 0) + 1
          ctx.state.seen.set('n', n)
          ctx.state.seen.set(`at-${n}`, e.at)
          return [{ user: e.user, n }]
        },
      })
      .sink('out', sink)
  },
  window(app, sink) {
    source(app)
      .keyBy('user')
      .window(tumbling('3650d'))
      .aggregate(count(), (n, { key }) => ({ user: key, n }))
      .sink('out', sink)
  },
}

function source(app: Pipeline) {
  return app.source('hits', ndjson<Hit>(HIT as never), { time: e => e.at, watermark: monotonous() })
}

const { positionals } = parseArgs({ allowPositionals: true })
const [variant = 'reduce', keyCount = '2000000', stateMb = '100'] = positionals
const keys = Number(keyCount)
const counts = [0, 0, 0]
let wrong = 0
const sink = customSink<{ n: number }>({
  name: 'check',
  open: () => ({
    write(row) {
      if (row.n === 1 || row.n === 2) counts[row.n]!++
      else wrong++
    },
  }),
})
const app = pipeline('large-state')
VARIANTS[variant]!(app, sink)
const state = mkdtempSync(join(tmpdir(), 'millrace-large-'))
const started = performance.now()
try {
  await runEmbedded(app.graph(), {
    sources: { hits: hits(keys) },
    state,
    stateMemory: Number(stateMb) * 1024 * 1024,
    checkpointMs: 10_000,
    ...(process.env.BENCH_PROGRESS
      ? {
          onProgress: p =>
            console.error(`${p.events} ${p.checkpoints.completed} ${Math.round(process.memoryUsage().heapUsed / 1e6)} MB`),
        }
      : {}),
  })
} finally {
  rmSync(state, { recursive: true, force: true })
}
const expected = variant === 'window' ? [0, 0, keys] : [0, keys, keys]
const right = wrong === 0 && expected.every((n, i) => counts[i] === n)
const seconds = (performance.now() - started) / 1000
console.log(
  JSON.stringify({
    variant,
    keys,
    right,
    seconds: Number(seconds.toFixed(1)),
    rssMb: Math.round(process.resourceUsage().maxRSS / 1024),
  }),
)
process.exitCode = right ? 0 : 1
