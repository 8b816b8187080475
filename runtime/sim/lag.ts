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

/** Says of one of an environment's calls that it is the one before which it freezes, while others go on: what it has read by then is old when it uses it. */
export function openLag(dice: Dice): (call: string) => boolean {
  const place = dice.chance(STATE_CHANCE) ? STATE : dice.pick(LOOKS)
  let hasBegun = false
  let isOver = false
  return call => {
    if (isOver) return false
    if (hasBegun) isOver = place.test(call)
    else hasBegun = FIRST.test(call)
    return isOver
  }
}
