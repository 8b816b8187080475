/** New sellers: persons who registered and opened an auction within the same ten seconds, once each. */
import { print, tumbling } from 'millrace'
import { isAuction, isPerson, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q8')

events
  .filter(isPerson)
  .select('id', 'name')
  .keyBy('id')
  .coGroup(events.filter(isAuction).select('seller').keyBy('seller'))
  .window(tumbling('10s'))
  .apply(function* ([person], auctions, { window }) {
    if (person === undefined || auctions.length === 0) return
    yield { id: person.id, name: person.name, window_start: window.start, window_end: window.end }
  })
  .sink('results', print())

export default app
