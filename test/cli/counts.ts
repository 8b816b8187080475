/** Running counts of seven items, as a pipeline file and its events. */
export const COUNTS = `
import { monotonous, ndjson, pipeline, print, value } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'

const app = pipeline('counts')
app
  .source('events', ndjson(z.object({ item: z.string(), time: z.number() })), { time: e => e.time, watermark: monotonous() })
  .keyBy('item')
  .process({
    state: { n: value<number>() },
    onRecord(e, ctx) {
      const n = (ctx.state.n.get() ?? 0) + 1
      ctx.state.n.set(n)
      return [{ item: e.item, n }]
    },
  })
  .sink('counts', print())
export default app
`
export const EVENTS = 20_000
export const events = Array.from({ length: EVENTS }, (_, i) => `${JSON.stringify({ item: `i${i % 7}`, time: i * 100 })}\n`).join(
  '',
)
