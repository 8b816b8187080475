/** Clicks with the searches of the same user for the same item, up to ten minutes before them. */
import { print } from 'millrace'
import { isClick, isSearch, shop } from './shop.ts'

const { app, events } = shop('e5')

const deduped = events
  .process(({ event_id, user_id, item_id, event_type }, { timestamp, currentWatermark }) =>
    // Late ones go, and of the others what the join needs stays.
    timestamp <= currentWatermark ? [] : [{ event_id, user_id, item_id, event_type, ts: timestamp }],
  )
  .keyBy('user_id')
  .dedup('event_id', { ttl: Number.POSITIVE_INFINITY })

const searches = deduped.filter(isSearch).keyBy(['user_id', 'item_id'])
const clicks = deduped.filter(isClick).keyBy(['user_id', 'item_id'])

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
