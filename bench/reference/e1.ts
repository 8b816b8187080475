/** What each user did in the last half hour, every minute. */
import { count, print, sliding } from 'millrace'
import { shop } from './shop.ts'

const { app, events } = shop('e1')

events
  .keyBy(['user_id', 'event_type'])
  .window(sliding('30m', '1m'))
  .aggregate(count(), (count, { key: [user_id, event_type], window }) => ({
    user_id,
    event_type,
    window_start: window.start,
    window_end: window.end,
    count,
  }))
  .sink('results', print())

export default app
