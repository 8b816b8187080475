/** Three searches in a row, the third less than five minutes after the first, and no click until those are over. */
import { print, skipPastLastEvent } from 'millrace'
import { isClick, isSearch, shop, timeOf } from './shop.ts'

const { app, events } = shop('e6')

events
  .process((event, { timestamp, currentWatermark }) => (timestamp <= currentWatermark ? [] : [event])) // late ones go
  .keyBy('user_id')
  .dedup('event_id', { ttl: Number.POSITIVE_INFINITY })
  .match(begin => begin('searches').where(isSearch).times(3).consecutive().notFollowedBy('click').where(isClick).within('5m'), {
    skip: skipPastLastEvent(),
    orderBy: ['event_id'],
  })
  .map(({ searches }) => {
    const [first, second, third] = searches as [(typeof searches)[0], (typeof searches)[0], (typeof searches)[0]]
    return {
      user_id: first.user_id,
      s1: first.event_id,
      s2: second.event_id,
      s3: third.event_id,
      first_ts: timeOf(first),
      last_ts: timeOf(third),
    }
  })
  .sink('results', print())

export default app
