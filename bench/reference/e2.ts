/** The ten most clicked items of each five minutes. */
import { count, print, tumbling } from 'millrace'
import { isClick, shop } from './shop.ts'

const { app, events } = shop('e2')

events
  .filter(isClick)
  .keyBy('item_id')
  .window(tumbling('5m'))
  .aggregate(count(), (clicks, { key, window }) => ({ item_id: key, clicks, window }))
  .keyBy(({ window }) => window.end)
  .topN(10, { by: ['-clicks', 'item_id'] })
  .map(({ rank, value: { item_id, clicks, window } }) => ({
    window_start: window.start,
    window_end: window.end,
    rank,
    item_id,
    count: clicks,
  }))
  .sink('results', print())

export default app
