/** Average price for a category: of the highest bids that came while their auctions were open. Changes with each higher bid. */
import { all, count, print, sum } from 'millrace'
import { isAuction, isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q4')

// What a join keeps, it keeps for ever: no more than is needed.
const auctions = events.filter(isAuction).select('id', 'category', 'dateTime', 'expires')
const bids = events.filter(isBid).select('auction', 'price', 'dateTime')

auctions
  .keyBy('id')
  .join(bids.keyBy('auction'))
  .apply((auction, bid) => ({ auction, bid }))
  .filter(({ auction, bid }) => auction.dateTime <= bid.dateTime && bid.dateTime <= auction.expires)
  .map(({ auction, bid }) => ({ category: auction.category, final: bid.price }))
  .runningTopN(1, { by: ['-final'] })
  .map(({ value }) => value)
  .keyBy('category')
  .aggregate(all({ sum_final: sum('final'), auctions: count() }), ({ sum_final, auctions }, { key }) => ({
    category: key,
    avg_final: Math.trunc(sum_final / auctions),
    sum_final,
    auctions,
  }))
  .sink('results', print())

export default app
