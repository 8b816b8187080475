/** Winning bids: of each auction, the highest while it was open; of equal ones, the earliest. */
import { print } from 'millrace'
import { isAuction, isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q9')

events
  .filter(isAuction)
  .keyBy('id')
  .join(events.filter(isBid).keyBy('auction'))
  .apply(({ id, itemName, initialBid, reserve, dateTime, expires, seller, category }, { auction, bidder, price, ...bid }) => ({
    id,
    itemName,
    initialBid,
    reserve,
    dateTime,
    expires,
    seller,
    category,
    auction,
    bidder,
    price,
    bid_dateTime: bid.dateTime,
  }))
  .filter(({ dateTime, bid_dateTime, expires }) => dateTime <= bid_dateTime && bid_dateTime <= expires)
  .runningTopN(1, { by: ['-price', 'bid_dateTime', 'bidder'] })
  .map(({ value }) => value)
  .sink('results', print())

export default app
