import type { Manifest, SubtaskSnapshot } from '../checkpoint/manifest.ts'
import { systemClock, systemRandom } from '../embedded/clock.ts'
import { shapeOf } from '../graph/shape.ts'
import type { Blobs } from '../ports.ts'
import { emptyHead, type HeadFields } from '../protocol/item.ts'
import { readSavepoint } from '../savepoint/format.ts'
import { isDataFile, METADATA } from '../savepoint/names.ts'
import { writeSavepoint } from '../savepoint/write.ts'
import { Topology } from '../stage/topology.ts'
import { unpack } from '../state/codec.ts'
import { BackfillError, SpillError } from './error.ts'
import type { Prepared } from './job.ts'
import { stateKey } from './kept-state.ts'
import { LAST_CUT } from './last-cut.ts'

/** What a source of the stream reads may not be known yet: one split, whatever it is called. */
const SPLITS: readonly string[] = ['archive']

/**
 * Writes the savepoint that a stream starts from, with these splits of its sources, by name; of others one: every subtask's state where event time had come to the handover. What comes of the stream from there on has its time or a later one, since
 * its sources pass over what is before.
 */
export async function writeHandover(
  { graph, plan, job }: Prepared,
  from: Pick<Blobs, 'get'>,
  to: Blobs & { readonly name: string },
  splitsOf: Readonly<Record<string, readonly string[]>> = {},
): Promise<void> {
  const names = plan.stages.flatMap(s => (s.source === undefined ? [] : [[s.index, s.source.source!.name] as const]))
  const splits = Object.fromEntries(names.map(([, name]) => [name, splitsOf[name] ?? SPLITS]))
  const topology = new Topology(plan, graph.name, job.run, new Map(names.map(([index, name]) => [index, splits[name]!.length])))
  const takesFrom = job.until!
  const subtasks: SubtaskSnapshot[] = []
  for (const { stage, parallelism } of topology.stages) {
    for (let shard = 0; shard < parallelism; shard++) {
      const log = topology.log(stage.index, shard)
      if (stage.source === undefined) subtasks.push(withHead(await kept(from, stage.index, shard), topology, takesFrom - 1))
      else subtasks.push(sourceAt(log, stage.index, shard, takesFrom))
    }
  }
  const manifest: Manifest = {
    pipeline: graph.name,
    run: job.run,
    checkpoint: LAST_CUT,
    createdAt: systemClock.now(),
    shape: shapeOf(plan),
    splits,
    subtasks,
  }
  if (await isHandedOver(to, job.run)) return
  // What a process that died within it has left.
  for (const name of await to.list('')) if (isDataFile(name)) await to.delete(name)
  await writeSavepoint(manifest, from, to, { kind: 'backfill', name: job.run }, { clock: systemClock, random: systemRandom })
}

/**
 * Whether the savepoint of this run is there, whole, by a process that ended or died behind it.
 * @throws BackfillError when the place has that of another run: asked before a backfill begins, too, so that nobody hears of it hours later
 */
export async function isHandedOver(to: Pick<Blobs, 'get'> & { readonly name: string }, run: string): Promise<boolean> {
  if ((await to.get(METADATA)) === undefined) return false
  if ((await readSavepoint(to, to.name)).run === run) return true
  throw new BackfillError(`${to.name} holds a savepoint already, of another run: name another place`)
}

async function kept(from: Pick<Blobs, 'get'>, stage: number, shard: number): Promise<SubtaskSnapshot> {
  const bytes = await from.get(stateKey(stage, shard))
  if (bytes === undefined)
    throw new SpillError(`the state of subtask ${shard} of stage ${stage} is gone: start again with an empty state directory`)
  return unpack<SubtaskSnapshot>(bytes)
}

/** Whoever sends to it has come as far as itself. Counts begin anew, as the sources' do: what the backfill took and gave, its own summary says. */
function withHead(snapshot: SubtaskSnapshot, topology: Topology, watermark: number): SubtaskSnapshot {
  const watermarks = topology.producersOf(snapshot.stage, snapshot.shard).map(p => [p, watermark] as const)
  return { ...snapshot, head: { ...snapshot.head, watermark, watermarks, idle: [], sinks: [], counts: emptyHead.counts } }
}

function sourceAt(log: string, stage: number, shard: number, takesFrom: number): SubtaskSnapshot {
  const watermark = takesFrom - 1
  const alignment = { checkpoint: LAST_CUT, version: 1, watermark, pending: [], channelState: [] }
  const head: HeadFields = { ...emptyHead, watermark, takesFrom, lastCut: LAST_CUT, alignment }
  return {
    stage,
    shard,
    log,
    version: 1,
    attempt: 'backfill',
    head,
    channelState: [],
    runs: [],
    folded: 1,
    changes: [],
    keyed: [],
  }
}
