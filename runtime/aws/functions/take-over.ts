import { inherit } from '../../checkpoint/inherit.ts'
import { followLayouts } from '../../checkpoint/layouts.ts'
import { type Materialised, materialise } from '../../checkpoint/materialise.ts'
import { putPause } from '../../checkpoint/pauses.ts'
import { MillraceError } from '../../errors.ts'
import type { StageTopology, Topology } from '../../stage/topology.ts'
import { pack } from '../../state/codec.ts'
import { stageStreamName } from '../names.ts'
import { formatShard } from '../position.ts'
import { deliverFrames } from './deliver-frames.ts'
import type { Environment } from './environment.ts'
import { materialisedOf, type StoredPart } from './materialised.ts'
import type { Tasks } from './tasks.ts'

/** A batch came of a shard that takes over from others, which are not at their end yet. It comes again. */
export class NotEndedError extends MillraceError {
  override readonly name = 'NotEndedError'
  override readonly retryable = true
}

const RECORDS_MAX = 1_000
/** About a KB each, beside what the stage holds. */
const FOLDED_AT_ONCE = 20_000

/**
 * `takeOver`, for a batch whose first record arrived at `arrivedAt`: and says how long that one waited.
 * @throws NotEndedError
 */
export async function takeOverFor(
  arrivedAt: number,
  ...[environment, tasks, topology, at, shard]: Parameters<typeof takeOver>
): Promise<void> {
  const { clock, log } = environment.ports
  const begun = clock.now()
  if (!(await takeOver(environment, tasks, topology, at, shard))) return
  const pause = { waitedMs: clock.now() - arrivedAt, tookMs: clock.now() - begun }
  const name = topology.log(at.stage.index, shard)
  await putPause(log, name, pause)
  environment.log('info', `${name} took over from others`, { shard, ...pause })
}

/**
 * Makes a shard that others were split or merged into ready for its first batch (protocol.md, F2 and F3). Lambda delivers those before it to their end first; that they are there, and
 * what became of their last frames, no delivery tells. So whoever gets the first batch of a child reads what is left of its parents, seals their logs, brings their state to the base, and begins the child's log. Each step may be
 * done twice, and by several at a time. False: it was ready.
 *
 * @throws NotEndedError when a frame in a parent is not decided yet
 * @throws GapError when the stream keeps no longer what was to be read of a parent
 */
export async function takeOver(
  environment: Environment,
  tasks: Tasks,
  topology: Topology,
  at: StageTopology,
  shard: number,
): Promise<boolean> {
  const { ports } = environment
  const { index } = at.stage
  const isReady = async () => (await ports.log.floor(topology.log(index, shard))) > 0
  if (await isReady()) return false
  // Those that heads name as producers are known to all who read them.
  await followLayouts(ports.log, topology)
  const { parents } = topology.shard(index, shard)
  for (const parent of parents) {
    if (topology.shard(index, parent).parents.length > 0) await takeOver(environment, tasks, topology, at, parent)
    await end(environment, tasks, topology, at, parent)
  }
  const fold = (parent: number, seal: number) => foldSealed(environment, topology, at, { parent, seal, shard })
  try {
    if (await inherit(topology, at, shard, ports, fold)) return true
  } catch (error) {
    // Somebody else was faster, and what was read here may have expired since (E5).
    if (await isReady()) return false
    throw error
  }
  throw new NotEndedError(`${topology.log(index, shard)} takes over from others that have not ended`)
}

/** Works off what is left in a closed shard, and seals its log. */
async function end(...[environment, tasks, topology, at, shard]: Parameters<typeof takeOver>): Promise<void> {
  const { settings, stageStreams } = environment
  const { index, id } = at.stage
  const stream = stageStreamName(settings.prefix, id)
  const { children, unused = false } = topology.shard(index, shard)
  const task = tasks.of(topology, at, shard)
  const atEnd = async (position: string) =>
    unused || stageStreams.isReadToEnd(stream, formatShard(shard), position, environment.deadline)
  // What was on its way when the checkpoint of a restored run was taken comes first, and a record of it may fail each time as well.
  await deliverFrames(environment, task, [])
  for (;;) {
    const { head, working } = await task.run(subtask => subtask.ready())
    if (head.sealed || (await task.run(subtask => subtask.seal(children!, atEnd)))) return
    const { records } = await stageStreams.read(stream, formatShard(shard), working.position.seq, RECORDS_MAX)
    const last = records.at(-1)?.seq
    if (last === undefined) throw new NotEndedError(`${task.subtask.log} is closed, and not known yet to be read to its end`)
    if ((await deliverFrames(environment, task, records)) < last)
      throw new NotEndedError(`${task.subtask.log} ends with frames that nobody has decided yet`)
  }
}

/** What its fold has deleted is swept later, with what those of the shard that takes over have: its own has none any more. */
async function foldSealed(
  { ports }: Environment,
  topology: Topology,
  at: StageTopology,
  { parent, seal, shard }: { readonly parent: number; readonly seal: number; readonly shard: number },
): Promise<void> {
  const part = await materialise(topology, at, parent, seal, ports, { itemsMax: FOLDED_AT_ONCE })
  if (part.tombstones.size === 0) return
  const log = topology.log(at.stage.index, parent)
  const key = `${materialisedOf(topology.log(at.stage.index, shard))}seal-${ports.clock.now()}-${parent}`
  await ports.blobs.put(key, pack({ log, part } satisfies StoredPart<Materialised>))
}
