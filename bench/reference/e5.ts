/** Clicks with the searches of the same user for the same item, up to ten minutes before them. */
import { print } from 'millrace'
import { isClick, isSearch, type ShopEvent, shop, timeOf } from './shop.ts'

const { app, events } = shop('e5')

const deduped = events
  .process((event, { timestamp, currentWatermark }) => (timestamp <= currentWatermark ? [] : [event])) // late ones go
  .keyBy('user_id')
  .dedup('event_id', { ttl: Number.POSITIVE_INFINITY })

/** What the join needs of an event, once for all that it is joined with. */
const needed = (event: ShopEvent) => ({
  event_id: event.event_id,
  user_id: event.user_id,
  item_id: event.item_id,
  ts: timeOf(event),
})

const searches = deduped.filter(isSearch).map(needed).keyBy(['user_id', 'item_id'])
const clicks = deduped.filter(isClick).map(needed).keyBy(['user_id', 'item_id'])

searches
  .intervalJoin(clicks)
  .between(0, '10m')
  .apply((search, click) => ({
    user_id: search.user_id,
    item_id: search.item_id,
    search_id: search.event_id,
    search_ts: search.ts,
    click_id: click.event_id,
    click_ts: click.ts,
  }))
  .sink('results', print())

export default app
