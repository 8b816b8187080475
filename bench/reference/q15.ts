/** Bidding statistics: for each day, bids, bidders and auctions, in total and by rank of price. */
import { all, print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'
import { bidCounts, dayOf, distinctCounts } from './ranks.ts'

const { app, events } = nexmark('q15')

events
  .filter(isBid)
  .keyBy(bid => dayOf(bid.dateTime))
  .aggregate(all({ ...bidCounts, ...distinctCounts }), (counts, { key }) => ({ day: key, ...counts }))
  .sink('results', print())

export default app
