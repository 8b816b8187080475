/** Channel statistics: those of q15 for each channel, and the last minute of the day in which it was used. */
import { all, max, print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'
import { bidCounts, dayOf, distinctCounts, minuteOf } from './ranks.ts'

const { app, events } = nexmark('q16')

events
  .filter(isBid)
  .keyBy(bid => [bid.channel, dayOf(bid.dateTime)] as const)
  .aggregate(all({ last: max('dateTime'), ...bidCounts, ...distinctCounts }), ({ last, ...counts }, { key: [channel, day] }) => ({
    channel,
    day,
    minute: minuteOf(last),
    ...counts,
  }))
  .sink('results', print())

export default app
