import * as z from 'zod'
import { boundedOutOfOrderness, map, ndjson, pipeline, print } from '../../../runtime/index.ts'

/** A pipeline of the same name with other operators and other state. */
const Visit = z.object({ id: z.number(), user: z.string(), page: z.string(), at: z.number() })
const app = pipeline('visits')
const source = app.source('visits', ndjson(Visit), { time: v => v.at, watermark: boundedOutOfOrderness('5s') })
source.deadLetters().sink('rejected', print())
source
  .keyBy('user')
  .process({
    state: { pages: map<string, number>() },
    onRecord(v, ctx) {
      ctx.state.pages.set(v.page, v.at)
      return [v]
    },
  })
  .uid('pages-of-users')
  .sink('pages', print())
export default app
