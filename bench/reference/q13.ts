/** Bounded side input: bids with what a file says about their auctions. */
import { monotonous, ndjson, print } from 'millrace'
import * as z from 'zod'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q13')

const Entry = z.object({ key: z.number(), value: z.string() })
const entries = app.source('side', ndjson(Entry), { time: () => 0, watermark: monotonous() })

events
  .filter(isBid)
  .keyBy(bid => bid.auction % 10_000)
  .join(entries.keyBy('key'))
  .apply(({ auction, bidder, price, dateTime }, { value }) => ({ auction, bidder, price, dateTime, value }))
  .sink('results', print())

export default app
