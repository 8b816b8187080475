/** Hot items: the auctions with the most bids in the last ten seconds, every two seconds, ties included. */
import { count, print, sliding } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q5')

events
  .filter(isBid)
  .keyBy('auction')
  .window(sliding('10s', '2s'))
  .aggregate(count(), (num, { key, window }) => ({ auction: key, num, window_start: window.start, window_end: window.end }))
  .keyBy('window_end')
  .topN(1, { by: ['-num'], ties: true })
  .map(({ value }) => value)
  .sink('results', print())

export default app
