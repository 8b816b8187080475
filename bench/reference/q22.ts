/** Directories of the bids' URLs. */
import { print } from 'millrace'
import { isBid, nexmark } from './nexmark.ts'

const { app, events } = nexmark('q22')

events
  .filter(isBid)
  .map(({ auction, bidder, price, channel, url }) => {
    const [, , , dir1, dir2, dir3] = url.split('/')
    return { auction, bidder, price, channel, dir1, dir2, dir3 }
  })
  .sink('results', print())

export default app
