/** Pass-through: each bid as it is. */
import { print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q0')

events.filter(isBid).select('auction', 'bidder', 'price', 'dateTime', 'extra').sink('results', print())

export default app
