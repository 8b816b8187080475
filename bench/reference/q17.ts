/** Auction statistics: for each auction and day, bids by rank of price, and the lowest, highest, mean and total price. */
import { all, max, min, print, sum } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'
import { bidCounts, dayOf } from './ranks.ts'

const { app, events } = nexmark('q17')

const prices = { min_price: min('price'), max_price: max('price'), sum_price: sum('price') }

events
  .filter(isBid)
  .keyBy(bid => [bid.auction, dayOf(bid.dateTime)] as const)
  .aggregate(all({ ...bidCounts, ...prices }), ({ sum_price, ...others }, { key: [auction, day] }) => ({
    auction,
    day,
    ...others,
    avg_price: Math.trunc(sum_price / others.total_bids),
    sum_price,
  }))
  .sink('results', print())

export default app
