/** The last bid of each bidder on each auction. */
import { print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q18')

events
  .filter(isBid)
  .select('auction', 'bidder', 'price', 'channel', 'url', 'dateTime', 'extra')
  .keyBy(['bidder', 'auction'])
  .latest()
  .sink('results', print())

export default app
