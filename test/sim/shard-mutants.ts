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
    at('runtime/aws/functions/follow-shards.ts')(
      'a shard that is at its end holds nothing back, though the one it is merged with is not there yet',
      "if (next.get(parent) === 'ended' && open.has(parent)) next.set(parent, open.get(parent)!)",
      '{}',
    ),
  ),
  within(
    'far-ahead',
    at('runtime/aws/functions/tend-shards.ts')(
      'a subtask without shards is left out before those who have taken over have caught up',
      'return isOver && (await isTakenOver(environment, topology, task.subtask, shards, listed))',
      'return isOver',
    ),
  ),
  within(
    'far-ahead',
    at('runtime/aws/functions/tend-shards.ts')(
      'a subtask is left out of a checkpoint by what others have taken behind their cuts',
      'const isCut = head.fields.lastCut >= checkpoint',
      'const isCut = false',
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
