/**
 * One point of the scale curves, in a process of its own: started by `main.ts`, which reads the line of JSON that it prints.
 *
 *   npx node bench/scale/point.ts '{"keys":10000,"subtasks":4,"events":2000000,"stateBackend":"table"}'
 *
 * A running sum for each key: each event reads and writes the state of one, and each of them comes as often as the others, in an order that no cache likes.
 * flink/Scale.java is the same.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monotonous, ndjson, pipeline } from 'millrace'
import type { SourceConnector, SourcePosition } from '../../runtime/connectors/source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { StateBackendName } from '../../runtime/state/backend.ts'
import { discardingSink } from '../discarding-sink.ts'

export interface PointSettings {
  readonly keys: number
  /** Of the stage with the state. The source has one. */
  readonly subtasks: number
  readonly events: number
  /** That state may have of the memory; undefined: a quarter of the heap's limit, as anywhere. */
  readonly stateMb?: number
  readonly stateBackend: StateBackendName
}

export interface PointMeasured {
  readonly events: number
  readonly seconds: number
  readonly cpuSeconds: number
  /** Undefined: could not be told. */
  readonly peakMb: number | undefined
  readonly checkpoints: number
}

interface Payment {
  readonly account: string
  readonly amount: number
}

/** As fast as a schema can be: this measures state. */
const PAYMENT = {
  '~standard': { version: 1, vendor: 'bench', validate: (value: unknown) => ({ value: value as Payment }) },
} as const

/** Prime, so that all keys come before one comes again. */
export const STRIDE = 15_485_863
export const CHECKPOINT_MS = 1000

function payments({ keys, events }: PointSettings): SourceConnector {
  return {
    kind: 'generated',
    splits: async () => ['0'],
    describe: () => `${events} payments`,
    open: async () => ({
      async read(position: SourcePosition | undefined, limit: number) {
        const from = Number(position?.index ?? 0)
        const to = Math.min(events, from + limit)
        const records: string[] = []
        for (let i = from; i < to; i++) records.push(`{"account":"account-${(i * STRIDE) % keys}","amount":${i % 100}}`)
        return { records, after: i => ({ index: from + i + 1 }), next: { index: to }, done: to === events }
      },
      async close() {},
    }),
  }
}

async function measure(settings: PointSettings): Promise<PointMeasured> {
  const app = pipeline('scale')
  app
    .source('payments', ndjson<Payment>(PAYMENT as never), { time: () => 0, watermark: monotonous() })
    .keyBy('account')
    .reduce((a, b) => ({ account: a.account, amount: a.amount + b.amount }))
    .sink('sums', discardingSink())
  const state = mkdtempSync(join(tmpdir(), 'millrace-scale-'))
  const startedAt = performance.now()
  try {
    const { results, checkpoints } = await runEmbedded(app.graph(), {
      sources: { payments: payments(settings) },
      parallelism: settings.subtasks,
      state,
      checkpointMs: CHECKPOINT_MS,
      stateBackend: settings.stateBackend,
      ...(settings.stateMb !== undefined && { stateMemory: settings.stateMb * 1024 * 1024 }),
    })
    if (results !== settings.events) throw new Error(`${settings.events} events gave ${results} sums`)
    const { user, system } = process.cpuUsage()
    return {
      events: settings.events,
      seconds: (performance.now() - startedAt) / 1000,
      cpuSeconds: (user + system) / 1e6,
      peakMb: process.resourceUsage().maxRSS / 1024,
      checkpoints: checkpoints.completed,
    }
  } finally {
    rmSync(state, { recursive: true, force: true })
  }
}

if (import.meta.main) console.log(JSON.stringify(await measure(JSON.parse(process.argv[2]!))))
