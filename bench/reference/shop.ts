/** The events of the e-commerce queries: what users searched for and clicked on. Some come twice, some late. */
import { boundedOutOfOrderness, ndjson, pipeline } from 'millrace'
import * as z from 'zod'
import { boundMs } from './parameters.ts'

const ShopEvent = z.object({
  event_id: z.string(),
  user_id: z.string(),
  item_id: z.string(),
  event_type: z.enum(['search', 'click']),
  timestamp: z.string(),
})

export type ShopEvent = z.infer<typeof ShopEvent>

export const isSearch = (event: Pick<ShopEvent, 'event_type'>) => event.event_type === 'search'
export const isClick = (event: Pick<ShopEvent, 'event_type'>) => event.event_type === 'click'

/** Epoch ms. */
export const timeOf = (event: ShopEvent) => Date.parse(event.timestamp)

/** A new pipeline and its one source, `events`. */
export function shop(name: string) {
  const app = pipeline(name)
  const events = app.source('events', ndjson(ShopEvent), { time: timeOf, watermark: boundedOutOfOrderness(boundMs()) })
  return { app, events }
}
