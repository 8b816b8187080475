/** Currency conversion: prices in euros, at 0.908. */
import { print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q1')

events
  .filter(isBid)
  .map(({ auction, bidder, price, dateTime, extra }) => ({ auction, bidder, price: inEuros(price), dateTime, extra }))
  .sink('results', print())

/** Exact to its three places: both operands are whole numbers, and the one division is rounded to the nearest number. */
function inEuros(dollars: number): number {
  return (dollars * 908) / 1000
}

export default app
