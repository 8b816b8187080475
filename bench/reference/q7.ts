/** Highest bid: the bids at the highest price of each ten seconds, ties included. */
import { aggregate, print, tumbling } from 'millrace'
import { type Bid, isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q7')

type Offer = Pick<Bid, 'auction' | 'bidder' | 'price' | 'dateTime'>

/** The bids at the highest price so far. */
const highest = aggregate({
  createAccumulator: (): Offer[] => [],
  add: (best, bid: Offer) => higher(best, [bid]),
  merge: higher,
  getResult: best => best,
})

function higher(a: Offer[], b: Offer[]): Offer[] {
  if (a.length === 0 || b.length === 0) return a.length === 0 ? b : a
  const difference = a[0]!.price - b[0]!.price
  return difference === 0 ? [...a, ...b] : difference > 0 ? a : b
}

events
  .filter(isBid)
  .select('auction', 'bidder', 'price', 'dateTime')
  .keyBy(bid => bid.bidder % 8) // the best of eight parts first, so that not all bids have to come to one place
  .window(tumbling('10s'))
  .aggregate(highest, (bids, { window }) => ({ bids, window }))
  .flatMap(({ bids, window }) =>
    bids.map(({ auction, bidder, price, dateTime }) => ({
      auction,
      bidder,
      price,
      dateTime,
      window_start: window.start,
      window_end: window.end,
    })),
  )
  .keyBy('window_end')
  .topN(1, { by: ['-price'], ties: true })
  .map(({ value }) => value)
  .sink('results', print())

export default app
