import type { SinkState } from '../connectors/sink.ts'
import type { Ports } from '../ports.ts'
import { GapError } from '../protocol/errors.ts'
import { type ChunkRef, type Counts, type HeadFields, isLater, later, sumOf } from '../protocol/item.ts'
import { type Head, headOf, type KnownHeads } from '../protocol/log.ts'
import { overlap } from '../stage/layout.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { beginLog } from './begin-log.ts'
import { chunksOf } from './blob-names.ts'
import { writeMarker } from './marker.ts'

/** What the log of a shard begins with that took over from others, in the place of an attempt's id. */
const INHERITED = 'inherited'

/** Brings the state of a log that has ended to the base, up to its seal. Idempotent. */
export type FoldSealed = (shard: number, seal: number) => Promise<unknown>

interface Parent {
  readonly shard: number
  readonly head: Head
  /** The producers that counted for it. */
  readonly heard: readonly number[]
}

/**
 * Starts the log of a shard that others were split or merged into (protocol.md, F3), once all of them are sealed: with one commit behind their seals, whose head is what theirs come to, and
 * the base for its state. No state moves: it lies under its keys, and the child loads what it needs. Idempotent, and the same whoever does it. False: a parent is not sealed yet.
 * `known`: what several children share that have the same parents, or one that asks again, so that a long log is read once.
 */
export async function inherit(
  topology: Topology,
  at: StageTopology,
  shard: number,
  ports: Ports,
  fold: FoldSealed,
  known: KnownHeads = new Map(),
): Promise<boolean> {
  const log = topology.log(at.stage.index, shard)
  const { parents: from } = topology.shard(at.stage.index, shard)
  if (from.length === 0 || (await ports.log.floor(log)) > 0) return true
  const parents = await sealedParents(topology, at, from, ports, known)
  if (parents === undefined) return false
  await refuseLost(topology, at, parents, ports.log, known)
  for (const { shard: parent, head } of parents) await fold(parent, head.version)
  // Behind all of them: a fold of a parent that hangs can't win over what the child writes, nor an older attempt at a sink.
  const version = Math.max(...parents.map(p => p.head.version)) + 1
  await writeMarker(ports.store, log, version)
  const head = inheritedHead(topology, at, shard, parents)
  await beginLog(ports.log, log, version, INHERITED, head, await inheritedCopies(topology, at, shard, version, ports))
  return true
}

/**
 * Each subtask has a copy of broadcast state, under an address of its own: that of the parent which had the child's first key group is the child's too. All parents were closed at once, and each frame of a producer came to all of
 * them or to none (F1), so that theirs are of the same records.
 */
async function inheritedCopies(
  topology: Topology,
  at: StageTopology,
  shard: number,
  version: number,
  { store, blobs }: Ports,
): Promise<ChunkRef> {
  const { index, inputs } = at.stage
  if (!inputs.some(e => e.exchange.kind === 'broadcast')) return undefined
  const { from, parents } = topology.shard(index, shard)
  const parent = parents.find(p => overlap(topology.shard(index, p), { from, to: from + 1 }))!
  const header = { run: topology.run, producer: topology.producer(index, shard), version: version + 1, attempt: INHERITED }
  // Seldom: it is loaded then.
  const { broadcastOf } = await import('./copy-broadcast.ts')
  const bytes = await broadcastOf(topology, at, parent, store, { ...header, index: 1, predVersion: 0, predIndex: 0 })
  if (bytes === undefined) return undefined
  const blob = `${chunksOf(topology.log(index, shard))}${version + 1}-${INHERITED}`
  await blobs.put(blob, bytes)
  return { blob }
}

async function sealedParents(
  topology: Topology,
  at: StageTopology,
  shards: readonly number[],
  { log }: Ports,
  known: KnownHeads,
) {
  const parents: Parent[] = []
  for (const shard of shards) {
    const name = topology.log(at.stage.index, shard)
    const head = await headOf(log, name, known)
    if (!head.sealed) return undefined
    parents.push({ shard, head, heard: head.fields.producers ?? topology.producersOf(at.stage.index, shard) })
  }
  return parents
}

/**
 * The next frame of a producer names the one before it, behind a merge the last one to any of those that were merged: that one of them has lost its last frames would never be seen (B7). But they are sealed, so that all that their
 * producers have sent them is in their logs. What is split is looked at too: it may be merged before anything more comes to it.
 * @throws GapError
 */
async function refuseLost(
  topology: Topology,
  { stage: { index } }: StageTopology,
  parents: readonly Parent[],
  log: Ports['log'],
  known: KnownHeads,
): Promise<void> {
  const heads = new Map<number, HeadFields>()
  const read = async (producer: number) =>
    heads.set(producer, (await headOf(log, topology.logOfProducer(producer), known)).fields)
  await Promise.all([...new Set(parents.flatMap(p => p.heard))].map(read))
  for (const { shard, head, heard } of parents) {
    for (const producer of heard) {
      const { sent, sentClosed = [] } = heads.get(producer)!
      const [, , ...last] = [...sent, ...sentClosed].find(([stage, to]) => stage === index && to === shard) ?? [0, 0, 0, 0]
      const [, ...taken] = head.fields.accepted.find(([p]) => p === producer) ?? [0, 0, 0]
      if (isLater(last, taken))
        throw new GapError(
          `${topology.log(index, shard)} ended with frame ${taken.join('.')} of ${topology.logOfProducer(producer)}, which has sent it ${last.join('.')}: frames were lost on the stream`,
        )
    }
  }
}

function inheritedHead(topology: Topology, at: StageTopology, shard: number, parents: readonly Parent[]): HeadFields {
  const { index } = at.stage
  const fields = parents.map(p => p.head.fields)
  const heardBy = parents.map(p => new Set(p.heard))
  const producers = [...new Set(heardBy.flatMap(heard => [...heard]))].filter(producer => {
    const from = topology.subtaskOfProducer(producer)
    return topology.listens(from.stage, from.shard, index, shard)
  })
  /** Of the parents that count on it. */
  const from = (producer: number) => fields.filter((_, i) => heardBy[i]!.has(producer))
  return {
    position: { seq: '', offset: 0 },
    source: undefined,
    sourceDone: false,
    accepted: producers.flatMap(p => {
      const ids = from(p).flatMap(f => f.accepted.filter(([producer]) => producer === p))
      return ids.length === 0 ? [] : [[p, ...ids.map(([, v, i]) => [v, i] as const).reduce(later)] as const]
    }),
    watermarks: producers.map(p => [p, Math.min(...from(p).map(f => watermarkOf(f, p)))] as const),
    idle: producers.filter(p => from(p).every(f => f.idle.includes(p))),
    producers,
    watermark: Math.min(...fields.map(f => f.watermark)),
    sent: sentBy(fields),
    operatorWatermarks: undefined,
    firing: [],
    lastCut: Math.max(...fields.map(f => f.lastCut)),
    // One that is not through is given up: its barriers went to several shards, and its checkpoint fails by name (cut.ts).
    alignment: undefined,
    injection: undefined,
    sinks: inheritedSinks(topology, at, fields),
    counts: inheritedCounts(topology, index, shard, parents),
    ...(fields.some(f => f.timerAt !== undefined) && { timerAt: Math.min(...fields.flatMap(f => f.timerAt ?? [])) }),
  }
}

function watermarkOf({ watermarks }: HeadFields, producer: number): number {
  return watermarks.find(([p]) => p === producer)?.[1] ?? Number.NEGATIVE_INFINITY
}

/** By channel, the last frame that any of them sent. */
function sentBy(fields: readonly HeadFields[]): HeadFields['sent'] {
  const all = new Map<string, HeadFields['sent'][number]>()
  for (const sent of fields.flatMap(f => f.sent)) {
    const [stage, shard, ...id] = sent
    const known = all.get(`${stage}/${shard}`)
    if (known === undefined || later([known[2], known[3]], id) === id) all.set(`${stage}/${shard}`, sent)
  }
  return [...all.values()]
}

/** What the parents staged stays theirs, and is committed as theirs: a child's writer only goes on behind it. */
function inheritedSinks(topology: Topology, at: StageTopology, fields: readonly HeadFields[]): HeadFields['sinks'] {
  const nodes = at.stage.nodes.filter(node => node.sink !== undefined)
  return nodes.flatMap((node, index) => {
    const states = fields.flatMap(f => f.sinks.filter(([i]) => i === index).map(([, state]): SinkState => state))
    const state = states.length === 0 ? undefined : topology.sinkOf(node).succeed?.(states)
    return state === undefined ? [] : [[index, state] as const]
  })
}

/** What was counted goes to the first of the children, so that the sum over subtasks stays. */
function inheritedCounts(topology: Topology, stage: number, shard: number, parents: readonly Parent[]): Counts {
  const mine = parents.filter(p => topology.shard(stage, p.shard).children?.[0] === shard).map(p => p.head.fields.counts)
  return sumOf(mine)
}
