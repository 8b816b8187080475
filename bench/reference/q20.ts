/** Bids with the auctions of category 10 that they are for. */
import { print } from 'millrace'
import { isAuction, isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q20')

events
  .filter(isBid)
  .keyBy('auction')
  .join(
    events
      .filter(isAuction)
      .filter(({ category }) => category === 10)
      .keyBy('id'),
  )
  .apply(
    (
      { auction, bidder, price, channel, url, ...bid },
      { itemName, initialBid, reserve, expires, seller, category, ...item },
    ) => ({
      auction,
      bidder,
      price,
      channel,
      url,
      bid_dateTime: bid.dateTime,
      itemName,
      initialBid,
      reserve,
      auction_dateTime: item.dateTime,
      expires,
      seller,
      category,
    }),
  )
  .sink('results', print())

export default app
