import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { fileSource } from '../../../runtime/connectors/file-source.ts'
import type { SourceConnector } from '../../../runtime/connectors/source.ts'
import { count, customSink, monotonous, ndjson, pipeline, print, tumbling } from '../../../runtime/index.ts'

export interface TwoPaces {
  /** Each read of the first takes 15 ms. */
  readonly files: readonly string[]
  readonly windows: boolean
  /** Shared: records read of each, and by how many the second was ever ahead. */
  readonly cells: Int32Array
}

export function counts() {
  const app = pipeline('counts')
  app
    .source('numbers', ndjson(z.number()), { time: n => n, watermark: monotonous() })
    .keyBy(n => n % 10)
    .window(tumbling('1s'))
    .aggregate(count())
    .sink('out', print())
  return app.graph()
}

function passedOn() {
  const app = pipeline('passed-on')
  app.source('numbers', ndjson(z.number()), { time: n => n, watermark: monotonous() }).sink('out', print())
  return app.graph()
}

/** A pipeline whose source is read at two paces, for any thread of its run. */
export default async function twoPaces({ files, windows, cells }: TwoPaces) {
  const connector = fileSource(files)
  const numbers: SourceConnector = {
    ...connector,
    async open(split) {
      const index = (await connector.splits()).indexOf(split)
      const reader = await connector.open(split)
      return {
        async read(position, limit) {
          if (index === 0) await sleep(15)
          const batch = await reader.read(position, limit)
          Atomics.add(cells, index, batch.records.length)
          const ahead = Atomics.load(cells, 1) - Atomics.load(cells, 0)
          if (ahead > Atomics.load(cells, 2)) Atomics.store(cells, 2, ahead)
          return batch
        },
        close: () => reader.close(),
      }
    },
  }
  const out = customSink({ name: 'none', open: () => ({ write() {}, flush: async () => ({}) }), async commit() {} })
  return { graph: windows ? counts() : passedOn(), sources: { numbers }, sinks: { out } }
}
