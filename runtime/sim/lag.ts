import type { Dice } from './random.ts'

/** A cold environment's calls, in their order, from when it has asked how far its subtask's base goes (protocol.md, E3) until it sends what came of the first batch; and those by which it gets state. */
const LOOKS = [
  /^log.floor/,
  /^log.range/,
  /^store.range/,
  /^log.range .*\/decisions/,
  /^blobs.get /,
  /^log.batchGet/,
  /^streams.put/,
]
const STATE = /^store.batchGet \d+ (?!marker)|^blobs.getRange/
/** Few batches ask for any. */
const STATE_CHANCE = 0.5
const FIRST = /^store.batchGet \d+ marker/

/** Which of an environment's calls it freezes in front of: one of those of a batch, the one that decides a checkpoint (protocol.md, D6), or the first one behind that, of the sinks that commit (D7). */
export type LagAt = 'batch' | 'decision' | 'sinks'

const DECISION = /^log\.put .*\/decisions /
const STAGED = /^blobs\.list _staging/

/** Says of one of an environment's calls that it is the one before which it freezes, while others go on: what it has read by then is old when it uses it. */
export function openLag(at: LagAt, dice: Dice): (call: string) => boolean {
  if (at === 'batch') return openBatchLag(dice)
  return once(at === 'decision' ? DECISION : STAGED)
}

function openBatchLag(dice: Dice): (call: string) => boolean {
  const isPlace = once(dice.chance(STATE_CHANCE) ? STATE : dice.pick(LOOKS))
  let hasBegun = false
  return call => {
    if (hasBegun) return isPlace(call)
    hasBegun = FIRST.test(call)
    return false
  }
}

function once(place: RegExp): (call: string) => boolean {
  let isOver = false
  return call => {
    if (isOver) return false
    isOver = place.test(call)
    return isOver
  }
}
