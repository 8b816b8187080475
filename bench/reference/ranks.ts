/** What the statistics of q15 to q17 have in common: bids are counted in total and in three ranks of price. */
import { count, countDistinct, filtered } from 'millrace'
import type { Bid } from './nexmark.ts'

export const rank1 = ({ price }: Bid) => price < 10_000
export const rank2 = ({ price }: Bid) => price >= 10_000 && price < 1_000_000
export const rank3 = ({ price }: Bid) => price >= 1_000_000

export const bidCounts = {
  total_bids: count(),
  rank1_bids: filtered(count(), rank1),
  rank2_bids: filtered(count(), rank2),
  rank3_bids: filtered(count(), rank3),
}

export const distinctCounts = {
  total_bidders: countDistinct('bidder'),
  rank1_bidders: filtered(countDistinct('bidder'), rank1),
  rank2_bidders: filtered(countDistinct('bidder'), rank2),
  rank3_bidders: filtered(countDistinct('bidder'), rank3),
  total_auctions: countDistinct('auction'),
  rank1_auctions: filtered(countDistinct('auction'), rank1),
  rank2_auctions: filtered(countDistinct('auction'), rank2),
  rank3_auctions: filtered(countDistinct('auction'), rank3),
}

/** yyyy-MM-dd, UTC. */
export const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10)
/** HH:mm, UTC. */
export const minuteOf = (time: number) => new Date(time).toISOString().slice(11, 16)
