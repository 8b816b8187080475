import { partOf } from '../checkpoint/cut.ts'
import type { Manifest, SubtaskSnapshot } from '../checkpoint/manifest.ts'
import { materialisePart } from '../checkpoint/snapshot.ts'
import { systemClock, systemRandom } from '../embedded/clock.ts'
import { shapeOf } from '../graph/shape.ts'
import type { Blobs, Ports } from '../ports.ts'
import { emptyHead, type HeadFields } from '../protocol/item.ts'
import { directoryBlobs } from '../savepoint/directory.ts'
import { readSavepoint } from '../savepoint/format.ts'
import { isDataFile, METADATA } from '../savepoint/names.ts'
import { writeSavepoint } from '../savepoint/write.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import { Topology } from '../stage/topology.ts'
import { pack, unpack } from '../state/codec.ts'
import { BackfillError, SpillError } from './error.ts'
import type { Prepared } from './job.ts'
import { LAST_CUT } from './last-cut.ts'

/** Blobs of what tasks leave for the stream that goes on begin with this. */
export const KEPT_STATE = 'state/'
/** What a source of the stream reads is not known yet: one split, whatever it is called. */
const SPLITS = ['archive']

const stateKey = (stage: number, shard: number) => `${KEPT_STATE}${stage}-${shard}`

/** At the end of a task: its state, durable by itself, and all that the subtask is besides. */
export async function keepState(topology: Topology, stage: number, shard: number, ports: Ports): Promise<void> {
  const part = (await partOf(ports.log, topology, stage, shard, LAST_CUT))!
  const start = { checkpoint: LAST_CUT, startedAt: ports.clock.now(), previous: undefined }
  const { runs } = await materialisePart(topology, start, part, ports, { exclusive: true })
  const { log, version, item, channelState } = part
  const keyed = keyedNodes(topology.stages[stage]!.stage).map(k => k.operatorId)
  const { attempt, head } = item
  const snapshot: SubtaskSnapshot = {
    stage,
    shard,
    log,
    version,
    attempt,
    head,
    channelState,
    runs,
    folded: version,
    changes: [],
    keyed,
  }
  await ports.blobs.put(stateKey(stage, shard), pack(snapshot))
}

/**
 * Writes the savepoint that a stream starts from, of one split in each source: every subtask's state where event time had come to the handover. What comes of the stream from there on has its time or a later one, since
 * its sources pass over what is before.
 */
export async function writeHandover({ graph, plan, job, files }: Prepared, to: Blobs & { readonly name: string }): Promise<void> {
  const names = plan.stages.flatMap(s => (s.source === undefined ? [] : [[s.index, s.source.source!.name] as const]))
  const splits = Object.fromEntries(names.map(([, name]) => [name, SPLITS]))
  const topology = new Topology(plan, graph.name, job.run, new Map(names.map(([index]) => [index, SPLITS.length])))
  const from = directoryBlobs(files.blobs)
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
  if (await isWritten(to, job.run)) return
  await writeSavepoint(manifest, from, to, { kind: 'backfill', name: job.run }, { clock: systemClock, random: systemRandom })
}

/** By a process that died behind it. What one has left that died within it goes. */
async function isWritten(to: Blobs & { readonly name: string }, run: string): Promise<boolean> {
  if ((await to.get(METADATA)) !== undefined) {
    if ((await readSavepoint(to, to.name)).run === run) return true
    throw new BackfillError(`${to.name} holds a savepoint already, of another run: name another place`)
  }
  for (const name of await to.list('')) if (isDataFile(name)) await to.delete(name)
  return false
}

async function kept(from: Blobs, stage: number, shard: number): Promise<SubtaskSnapshot> {
  const bytes = await from.get(stateKey(stage, shard))
  if (bytes === undefined)
    throw new SpillError(`the state of subtask ${shard} of stage ${stage} is gone: start again with an empty state directory`)
  return unpack<SubtaskSnapshot>(bytes)
}

/** Whoever sends to it has come as far as itself. */
function withHead(snapshot: SubtaskSnapshot, topology: Topology, watermark: number): SubtaskSnapshot {
  const watermarks = topology.producersOf(snapshot.stage, snapshot.shard).map(p => [p, watermark] as const)
  return { ...snapshot, head: { ...snapshot.head, watermark, watermarks, idle: [], sinks: [] } }
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
