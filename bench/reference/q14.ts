/** Calculation: expensive bids, with the time of day, and how often a letter is in them. */
import { print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q14')

events
  .filter(isBid)
  .filter(({ price }) => price * 908 > 1_000_000_000 && price * 908 < 50_000_000_000)
  .map(({ auction, bidder, price, dateTime, extra }) => ({
    auction,
    bidder,
    price: (price * 908) / 1000,
    bidTimeType: timeType(new Date(dateTime).getUTCHours()),
    dateTime,
    extra,
    c_counts: extra.split('c').length - 1,
  }))
  .sink('results', print())

function timeType(hour: number): string {
  if (hour >= 8 && hour <= 18) return 'dayTime'
  return hour <= 6 || hour >= 20 ? 'nightTime' : 'otherTime'
}

export default app
