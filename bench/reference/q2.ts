/** Selection: the bids on some auctions. */
import { print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q2')

events
  .filter(isBid)
  .filter(bid => bid.auction % 123 === 0)
  .select('auction', 'price')
  .sink('results', print())

export default app
