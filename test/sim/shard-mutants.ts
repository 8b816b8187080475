import { at, within } from './mutant.ts'

const follow = at('runtime/aws/functions/follow-shards.ts')
const map = at('runtime/aws/functions/shard-map.ts')

/** Of the shards of sources, which are split and merged. */
export const SHARDS = [
  follow(
    'a closed shard counts as read to its end',
    '(await isReadToEnd(shard, state.sequenceNumber))',
    'isReadToEnd !== undefined',
  ),
  follow(
    'a closed shard is never read to its end',
    "return 'ended'\n    return { ...state",
    'return state\n    return { ...state',
  ),
  map(
    'what comes again of a shard that has ended is taken again',
    'taken === ENDED || seq <= taken',
    'seq <= taken && taken !== ENDED',
  ),
  at('runtime/aws/functions/kinesis-arrivals.ts')(
    "a subtask's watermark is that of the shard it hears of",
    'return Math.min(own, others)',
    'return Math.max(own, Math.min(own, others))',
  ),
  within(
    'far-ahead',
    at('runtime/aws/functions/tend-shards.ts')(
      'a shard that is merged elsewhere is left out before those who have taken over have caught up',
      'if (state === undefined) return false',
      'if (state === undefined) continue',
      ['if (state.watermark < watermark && !isIdle(state, idleAfter, now())) return false', ''],
    ),
  ),
  // Of sources that have several shards; the others have nothing that it could break.
  within(
    'counts',
    at('runtime/aws/functions/ahead-of-parents.ts')(
      "F4: cuts of sources may be on both sides of a shard's end",
      'return cuts.filter(cut => isAhead(cut, cuts, shards))',
      'return cuts.slice(cuts.length)',
    ),
  ),
]
