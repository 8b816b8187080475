/** Local item suggestion: who sells in these states, in category 10? Persons and auctions are joined over their whole history. */
import { print } from 'millrace'
import { isAuction, isPerson, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q3')

const sellers = events
  .filter(isPerson)
  .filter(person => ['OR', 'ID', 'CA'].includes(person.state))
  .select('id', 'name', 'city', 'state') // what a join keeps, it keeps for ever
const auctions = events
  .filter(isAuction)
  .filter(auction => auction.category === 10)
  .select('id', 'seller')

auctions
  .keyBy('seller')
  .join(sellers.keyBy('id'))
  .apply((auction, { name, city, state }) => ({ name, city, state, id: auction.id }))
  .sink('results', print())

export default app
