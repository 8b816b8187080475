import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startModels } from '../../examples/recommendations/models/client.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunOptions } from '../../runtime/embedded/run-options.ts'
import { customSink, type Pipeline } from '../../runtime/index.ts'
import { deploy, destroy, type StackSource } from './cdk.ts'
import { type Deployed, openDeployed } from './deployed.ts'
import { stackExists } from './remains.ts'

export const SINKS = ['trending', 'activity', 'recommendations'] as const
/** Rows of each sink, as JSON. */
export type SinkRows = Record<(typeof SINKS)[number], string[]>

/** Behind all windows of the traffic. */
const END_AFTER_MS = 3_600_000

/** The recommendation pipeline as cdk.json deploys it, and the same in this process. */
export interface RecommendationsStack {
  readonly source: StackSource
  readonly deployed: Deployed
  /** What these lines give in this process. At another parallelism than 1 it is the same, in another order. */
  embedded(lines: readonly string[], options?: RunOptions): Promise<SinkRows>
  /** What readers of its sinks see. */
  visible(): Promise<SinkRows>
}

export async function deployRecommendations(parallelism: number, waitMsMax?: number): Promise<RecommendationsStack> {
  // Here and in the functions: none of them could start one.
  process.env.MODELS_URL = await startModels()
  const { default: app } = (await import('../../examples/recommendations/pipeline.ts')) as { default: Pipeline }
  const source: StackSource = {
    stack: 'Recommendations',
    context: { parallelism: String(parallelism) },
    environment: { MODELS_URL: process.env.MODELS_URL },
  }
  // Of a run that was broken off: its records would count.
  if (await stackExists(source.stack)) await destroy(source)
  const outputs = await deploy(source)
  const results = { bucket: outputs.ResultsBucket!, prefix: '' }
  const deployed = await openDeployed({ app, outputs, id: 'Pipeline', sourceStream: outputs.EventsStream!, results, waitMsMax })
  const file = join(mkdtempSync(join(tmpdir(), 'millrace-events-')), 'events.ndjson')
  return {
    source,
    deployed,
    async embedded(lines, options = {}) {
      writeFileSync(file, lines.map(line => `${line}\n`).join(''))
      const rows: SinkRows = { trending: [], activity: [], recommendations: [] }
      const collecting = (sink: keyof SinkRows) =>
        customSink({ name: sink, open: () => ({ write: row => void rows[sink].push(JSON.stringify(row)) }) })
      await runEmbedded(app.graph(), {
        parallelism,
        sources: { events: fileSource([file]) },
        sinks: Object.fromEntries(SINKS.map(sink => [sink, collecting(sink)])),
        ...options,
      })
      return rows
    },
    async visible() {
      const [trending, activity, recommendations] = await Promise.all(
        SINKS.map(async sink => (await deployed.rows(sink)).map(row => JSON.stringify(row))),
      )
      return { trending: trending!, activity: activity!, recommendations: recommendations! }
    },
  }
}

/** An event that ends a stream which has no end: it is behind all windows of these, and in none that is ever over. */
export function endOf(lines: readonly string[]): string {
  const last = lines.map(line => new Date(JSON.parse(line).timestamp).getTime()).reduce((a, b) => Math.max(a, b))
  return JSON.stringify({ user_id: 'end', item_id: 'i1', event_type: 'search', timestamp: last + END_AFTER_MS })
}
