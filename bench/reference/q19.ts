/** The ten highest bids of each auction. */
import { print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q19')

events
  .filter(isBid)
  .select('auction', 'bidder', 'price', 'channel', 'url', 'dateTime')
  .keyBy('auction')
  .runningTopN(10, { by: ['-price', 'dateTime', 'bidder'] })
  .map(({ rank, value }) => ({ ...value, rank_number: rank }))
  .sink('results', print())

export default app
