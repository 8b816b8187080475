/** Sessions of each user, which end with ten minutes without an event. */
import { all, count, filtered, print, session } from 'millrace'
import { isClick, isSearch, shop } from './shop.ts'

const { app, events } = shop('e3')

const counts = all({ count: count(), searches: filtered(count(), isSearch), clicks: filtered(count(), isClick) })

events
  .select('user_id', 'event_type')
  .keyBy('user_id')
  .window(session('10m'))
  .aggregate(counts, (counts, { key, window }) => ({
    user_id: key,
    session_start: window.start,
    session_end: window.end,
    ...counts,
  }))
  .sink('results', print())

export default app
