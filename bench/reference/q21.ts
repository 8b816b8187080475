/** Channel ids: of the large channels by name, of the others from the URL. Bids with neither are left out. */
import { print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q21')

const LARGE = new Map([
  ['apple', '0'],
  ['google', '1'],
  ['facebook', '2'],
  ['baidu', '3'],
])

events
  .filter(isBid)
  .flatMap(({ auction, bidder, price, channel, url }) => {
    const channel_id = LARGE.get(channel.toLowerCase()) ?? /(?:&|^)channel_id=([^&]*)/.exec(url)?.[1]
    return channel_id === undefined ? [] : [{ auction, bidder, price, channel, channel_id }]
  })
  .sink('results', print())

export default app
