import { partOf } from '../../checkpoint/cut.ts'
import { followLayouts } from '../../checkpoint/layouts.ts'
import { readMarker } from '../../checkpoint/marker.ts'
import { sweepTombstones } from '../../checkpoint/materialise.ts'
import { type FoldLimits, type MaterialisedPart, materialisePart } from '../../checkpoint/snapshot.ts'
import type { CheckpointStart } from '../../checkpoint/start.ts'
import { MillraceError } from '../../errors.ts'
import type { Ports } from '../../ports.ts'
import { pack, unpack } from '../../state/codec.ts'
import type { Environment } from './environment.ts'
import type { InvocationContext } from './event.ts'
import { type MaterialisedRef, materialisedOf, type StoredPart } from './materialised.ts'
import { DEFAULT_MB } from './memory.ts'
import { checkRun } from './own-run.ts'

/** One subtask's part of a checkpoint: all else about it is in its log. */
export interface PartRef {
  /** The stage's id. */
  readonly stage: string
  readonly shard: number
  readonly version: number
}

export interface MaterialiseEvent {
  readonly start: CheckpointStart & { readonly run: string }
  readonly part: PartRef
}

/** Beyond the longest invocation (15 min), and the age of a view (C7): nobody can hold an older value any more then (protocol.md, E4). */
const SWEEP_AFTER_MS = 30 * 60_000
/** Of one invocation: more wait for the next. */
const SWEPT_MAX = 20
const NOTHING_LEFT = '-nothing'

/**
 * Rows of the base are what a checkpoint costs, so that only some of them fold: most of what is logged has been overwritten or deleted by then. Until then a cold function
 * replays it: some seconds for so many slots, or so many changes. And it stays in the memory of warm ones: see `WAITING_SHARE`.
 */
export const FOLD_LIMITS: FoldLimits = { bytesMax: 8 * 1024 * 1024, changesMax: 2_000_000, checkpointsMax: 59, slotsMax: 4_000 }
/** Of the memory of a stage's function, by a subtask. One that runs out of memory starts cold, with as much of it: it would not come back. */
const WAITING_SHARE = 0.09
/** What comes and goes among so many is never written. About a KB each at most, of the function's 1,769 MB; they are written in two or three minutes, behind which a fold that is cut off goes on. */
const FOLDED_AT_ONCE = 250_000

/** A part of a checkpoint folded into the base and into a segment, or kept as it was logged until that is worth it. Sweeps what this subtask's folds of long ago left. */
export function materialiseHandler(
  environment: Environment,
  defer = FOLD_LIMITS,
): (event: MaterialiseEvent, context: InvocationContext) => Promise<MaterialisedRef> {
  const waitingMax = (environment.settings.memoryMb ?? DEFAULT_MB) * 2 ** 20 * WAITING_SHARE
  const options = { defer: { waitingMax, ...defer }, itemsMax: FOLDED_AT_ONCE }
  return async ({ start, part: { stage, shard, version } }, context) => {
    environment.begin(context)
    await environment.renew()
    const { ports } = environment
    const { topology } = checkRun(await environment.run(), start)
    await followLayouts(ports.log, topology)
    const index = topology.stages.findIndex(s => s.stage.id === stage)
    const part = index === -1 ? undefined : await partOf(ports.log, topology, index, shard, start.checkpoint, version)
    if (part === undefined)
      throw new MillraceError(`subtask ${shard} of '${stage}' has no part of checkpoint ${start.checkpoint}`)
    const materialised = await materialisePart(topology, start, part, ports, options)
    const key = `${materialisedOf(part.log)}${start.checkpoint}-${ports.clock.now()}${leaves(materialised) ? '' : NOTHING_LEFT}`
    const isSwept = await sweepOld(part.log, start.checkpoint, ports)
    const settled = part.ended && isSwept && !leaves(materialised) && (await readMarker(ports.store, part.log)) >= part.version
    await ports.blobs.put(
      key,
      pack({ log: part.log, part: settled ? { ...materialised, settled } : materialised } satisfies StoredPart),
    )
    return { key }
  }
}

/** Whether it has left something in the base that goes later. */
function leaves({ tombstones, expired }: MaterialisedPart): boolean {
  return tombstones.size > 0 || (expired?.size ?? 0) > 0
}

/** What this subtask's folds of long ago have left goes, and what is named for earlier checkpoints alone: these are decided (protocol.md, D6). True: no fold of it has left anything any more. */
async function sweepOld(log: string, checkpoint: number, ports: Ports): Promise<boolean> {
  const before = ports.clock.now() - SWEEP_AFTER_MS
  const prefix = materialisedOf(log)
  const all = (await ports.blobs.list(prefix)).map(key => ({ key, named: key.slice(prefix.length).split('-') }))
  const done = all.filter(({ key, named: [n] }) => key.endsWith(NOTHING_LEFT) && Number(n) < checkpoint)
  for (const { key } of done.slice(0, SWEPT_MAX)) await ports.blobs.delete(key)
  const left = all.filter(({ key }) => !key.endsWith(NOTHING_LEFT))
  const old = left.filter(({ named: [, at] }) => Number(at) < before)
  for (const { key } of old.slice(0, SWEPT_MAX)) {
    const bytes = await ports.blobs.get(key)
    if (bytes !== undefined) await sweepTombstones(ports.store, unpack<StoredPart>(bytes).part)
    await ports.blobs.delete(key)
  }
  return left.length === 0
}
