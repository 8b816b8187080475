/**
 * The events of Nexmark, an auction house: persons register, open auctions and bid. `../../../shared/reference/README.md` tells where they are from
 * and what each query means.
 */
import { boundedOutOfOrderness, ndjson, pipeline } from 'millrace'
import * as z from 'zod'
import { boundMs } from './parameters.ts'

const Person = z.object({
  type: z.literal('person'),
  id: z.number(),
  name: z.string(),
  emailAddress: z.string(),
  creditCard: z.string(),
  city: z.string(),
  state: z.string(),
  dateTime: z.number(),
  extra: z.string(),
})

const Auction = z.object({
  type: z.literal('auction'),
  id: z.number(),
  itemName: z.string(),
  description: z.string(),
  initialBid: z.number(),
  reserve: z.number(),
  dateTime: z.number(),
  expires: z.number(),
  seller: z.number(),
  category: z.number(),
  extra: z.string(),
})

const Bid = z.object({
  type: z.literal('bid'),
  auction: z.number(),
  bidder: z.number(),
  price: z.number(),
  channel: z.string(),
  url: z.string(),
  dateTime: z.number(),
  extra: z.string(),
})

const NexmarkEvent = z.discriminatedUnion('type', [Person, Auction, Bid])

export type Person = z.infer<typeof Person>
export type Auction = z.infer<typeof Auction>
export type Bid = z.infer<typeof Bid>
export type NexmarkEvent = z.infer<typeof NexmarkEvent>

export const isPerson = (event: NexmarkEvent): event is Person => event.type === 'person'
export const isAuction = (event: NexmarkEvent): event is Auction => event.type === 'auction'
export const isBid = (event: NexmarkEvent): event is Bid => event.type === 'bid'

/** A new pipeline and its one source, `events`. */
export function nexmark(name: string) {
  const app = pipeline(name)
  const events = app.source('events', ndjson(NexmarkEvent), {
    time: event => event.dateTime,
    watermark: boundedOutOfOrderness(boundMs()),
  })
  return { app, events }
}
