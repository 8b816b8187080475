import { at, type Mutant, within } from './mutant.ts'

const inherit = at('runtime/checkpoint/inherit.ts')
const subtask = at('runtime/stage/subtask.ts')
const working = at('runtime/stage/working.ts')
const attempt = at('runtime/stage/attempt.ts')
const takeOver = at('runtime/aws/functions/take-over.ts')
const cut = at('runtime/checkpoint/cut.ts')
const layouts = at('runtime/aws/functions/learn-layouts.ts')

/** Of the shards between stages, which are split and merged (protocol.md, F). */
export const STAGE_SHARDS: readonly Mutant[] = [
  at('runtime/sim/streams.ts')(
    'F1: a frame that has landed in another shard counts as sent',
    'if (landed === shard) return seq',
    'return seq',
  ),
  subtask(
    'F2: a log is sealed before its shard is read to its end',
    'if (!(await atEnd(position.seq))) return false',
    'if (position.offset > 0) return false',
  ),
  working(
    'F2: a consumer goes on waiting for a producer that has ended',
    'this.heard = swap(this.heard)',
    'this.heard = new Set([...this.heard, ...children])',
  ),
  working(
    'F2: a pending barrier of a producer that has ended is not asked of those that took over',
    'pending: [...swap(this.alignment.pending)]',
    'pending: this.alignment.pending.filter(p => p !== parent)',
  ),
  working(
    'F2: the frames of those that took over count from the beginning',
    'this.accepted.set(child, later(this.lastAccepted(child), sealedAt))',
    'this.accepted.set(child, this.lastAccepted(child))',
  ),
  working(
    'F2: the watermark of those that took over is not known',
    'this.watermarks.set(child, known ? Math.min(this.watermarks.get(child)!, watermark) : watermark)',
    'this.watermarks.set(child, Number.POSITIVE_INFINITY)',
  ),
  attempt(
    'F2: a seal names its children to one consumer only',
    'if (seal !== undefined) output.sendSeal(',
    'if (seal !== undefined && output === this.live.outputs[0]) output.sendSeal(',
  ),
  inherit("F3: a child takes its parents' frames again", 'accepted: producers.flatMap(p => {', 'accepted: [].flatMap(p => {'),
  inherit(
    'F3: of two parents the frame counts that came first',
    '.reduce(later)',
    '.reduce((a, b) => (later(a, b) === a ? b : a))',
  ),
  inherit(
    'F3: a child begins without the watermark of its parents',
    'watermark: Math.min(...fields.map(f => f.watermark))',
    'watermark: Number.NEGATIVE_INFINITY',
  ),
  inherit(
    'F3: the versions of a child begin anew',
    'const version = Math.max(...parents.map(p => p.head.version)) + 1',
    'const version = 1',
  ),
  inherit('F3: a child has sent nothing yet', 'sent: sentBy(fields),', 'sent: [],'),
  inherit('F3: a child counts on nobody', '    producers,\n    watermark', '    producers: undefined,\n    watermark'),
  inherit(
    'F3: of what its parents are behind with nothing is brought to the base',
    'await fold(parent, head.version)',
    'await (parent < 0 && fold(parent, head.version))',
  ),
  // Who has timers of processing time is in no other pipeline.
  within(
    'silent',
    inherit(
      'F3: a child knows nothing of timers that are due',
      '...(fields.some(f => f.timerAt !== undefined) && {',
      '...(fields.some(f => f.timerAt === 0) && {',
    ),
  ),
  inherit('F3: nobody looks what was sent to shards that are merged', 'if (isLater(last, taken))', 'if (isLater(taken, taken))'),
  takeOver(
    'a child begins though what is left of its parents is not read',
    'await end(environment, tasks, topology, at, parent)\n  }',
    'if (parent > 99) await end(environment, tasks, topology, at, parent)\n  }',
  ),
  cut('a checkpoint leaves out what has ended', 'if (part?.ended && part.item', 'if (part?.ended && shard < 0 && part.item'),
  layouts(
    'what a stream says of its shards is taken up without the log of the run',
    'if (changed.length > 0) await putLayouts(log, topology.run, changed, known)',
    'if (known === undefined) await putLayouts(log, topology.run, changed, known)',
  ),
]
