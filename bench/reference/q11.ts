/** User sessions: how many bids each bidder made before pausing for ten seconds. */
import { count, print, session } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q11')

events
  .filter(isBid)
  .keyBy('bidder')
  .window(session('10s'))
  .aggregate(count(), (bid_count, { key, window }) => ({
    bidder: key,
    bid_count,
    window_start: window.start,
    window_end: window.end,
  }))
  .sink('results', print())

export default app
