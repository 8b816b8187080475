/** Average selling price by seller: over the last ten auctions that closed with a winner, in order of closing. */
import { list, map, print, value } from 'millrace'
import { type Auction, isAuction, isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q6')

interface Won {
  readonly seller: number
  readonly auction: number
  readonly expires: number
  readonly final: number
  /** When it closed: at `expires`, or, if it was known only later, then. */
  readonly closed: number
}

const auctions = events.filter(isAuction).select('id', 'seller', 'dateTime', 'expires')
const bids = events.filter(isBid).select('auction', 'price', 'dateTime')

const won = auctions
  .keyBy('id')
  .connect(bids.keyBy('auction'))
  .process({
    state: {
      auction: value<Pick<Auction, 'id' | 'seller' | 'dateTime' | 'expires'> & { closed: number }>(),
      bids: list<{ price: number; dateTime: number }>(),
    },
    onFirst(auction, { state, timers, currentWatermark }) {
      state.auction.set({ ...auction, closed: Math.max(auction.expires, currentWatermark + 1) })
      timers.event.set(auction.expires)
    },
    onSecond({ price, dateTime }, { state }) {
      state.bids.add({ price, dateTime })
    },
    onTimer(_at, { state }): Won[] {
      const { id, seller, dateTime, expires, closed } = state.auction.get()!
      const prices = state.bids.get().flatMap(bid => (dateTime <= bid.dateTime && bid.dateTime <= expires ? bid.price : []))
      state.bids.clear()
      if (prices.length === 0) return []
      return [{ seller, auction: id, expires, final: Math.max(...prices), closed }]
    },
  })

won
  .keyBy('seller')
  .process({
    state: { closing: map<number, Won[]>(), last: value<number[]>() },
    onRecord(auction, { state, timers }) {
      state.closing.set(auction.closed, [...(state.closing.get(auction.closed) ?? []), auction])
      timers.event.set(auction.closed)
    },
    *onTimer(at, { state }) {
      let last = state.last.get() ?? []
      const closed = state.closing.get(at) ?? []
      for (const { seller, auction, expires, final } of closed.sort((a, b) => a.expires - b.expires || a.auction - b.auction)) {
        last = [...last, final].slice(-10)
        const sum_last10 = last.reduce((sum, price) => sum + price)
        const n = last.length
        yield { seller, auction, expires, final, sum_last10, n, avg_last10: Math.trunc(sum_last10 / n) }
      }
      state.closing.delete(at)
      state.last.set(last)
    },
  })
  .sink('results', print())

export default app
