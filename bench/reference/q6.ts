/** Average selling price by seller: over the last ten auctions that closed with a winner, in order of closing. */
import { list, map, print, value } from 'millrace'
import { isAuction, isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q6')

interface Won {
  readonly seller: number
  readonly auction: number
  readonly expires: number
  readonly final: number
  /** When it closed: at `expires`, or, if it was known only later, then. */
  readonly closed: number
}

const won = events
  .filter(event => isAuction(event) || isBid(event))
  .map(event =>
    isAuction(event)
      ? { auction: event.id, seller: event.seller, dateTime: event.dateTime, expires: event.expires }
      : { auction: event.auction, price: event.price, dateTime: event.dateTime },
  )
  .keyBy('auction')
  .process({
    state: {
      auction: value<{ auction: number; seller: number; dateTime: number; expires: number; closed: number }>(),
      bids: list<{ price: number; dateTime: number }>(),
    },
    onRecord(event, { state, timers, currentWatermark }) {
      if (event.price !== undefined) return state.bids.add({ price: event.price, dateTime: event.dateTime })
      state.auction.set({ ...event, closed: Math.max(event.expires, currentWatermark + 1) })
      timers.event.set(event.expires)
    },
    onTimer(_at, { state }): Won[] {
      const { auction, seller, dateTime, expires, closed } = state.auction.get()!
      const prices = state.bids.get().flatMap(bid => (dateTime <= bid.dateTime && bid.dateTime <= expires ? bid.price : []))
      state.bids.clear()
      if (prices.length === 0) return []
      return [{ seller, auction, expires, final: Math.max(...prices), closed }]
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
