import type { KeptFrame } from '../checkpoint/channel-state.ts'
import type { Manifest, SubtaskSnapshot } from '../checkpoint/manifest.ts'
import { ENTRY_RECORD, readFrame, readHeader } from '../protocol/frame.ts'
import type { FrameId } from '../protocol/item.ts'
import { decodeItem } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'
import { unpack } from '../state/codec.ts'
import type { Services } from './ports.ts'
import { sourceCutFault } from './source-cut-check.ts'
import { streamOf } from './streams.ts'

/**
 * What is wrong with a checkpoint that was decided complete, if anything: all that it names has to be there, and on each channel what the producer had sent up to its cut is either accepted at the consumer's
 * cut or in its channel state, once (protocol.md, D1 and D4); nor may cuts of sources be on both sides of a shard's end (F4).
 */
export function cutFault(manifest: Manifest, topology: Topology, services: Services): string | undefined {
  const missing = blobsOf(manifest).find(blob => !services.bucket.has(blob))
  if (missing !== undefined) return `${missing} is not there`
  for (const part of manifest.subtasks)
    for (const producer of heardBy(part, manifest, topology)) {
      const fault = channelFault(part, producer, manifest, topology, services)
      if (fault !== undefined) return `${part.log}: ${fault}`
    }
  return sourceCutFault(manifest, topology, services)
}

/** The producers that count at a cut, and those that took over from one of these before cuts of their own: what they sent before it is not taken either (protocol.md, F2). */
function heardBy({ stage, shard, head }: SubtaskSnapshot, { subtasks }: Manifest, topology: Topology): ReadonlySet<number> {
  const heard = new Set(head.producers ?? topology.producersOf(stage, shard))
  for (const producer of heard) {
    const from = topology.subtaskOfProducer(producer)
    if (!subtasks.some(s => s.ended && s.stage === from.stage && s.shard === from.shard)) continue
    for (const child of topology.shard(from.stage, from.shard).children ?? [])
      if (topology.listens(from.stage, child, stage, shard)) heard.add(topology.producer(from.stage, child))
  }
  return heard
}

/** All blobs that a manifest names. */
export function blobsOf({ subtasks }: Manifest): string[] {
  return subtasks.flatMap(s => [...s.channelState, ...[...(s.runs?.flat() ?? []), ...(s.changes ?? [])].map(({ blob }) => blob)])
}

function channelFault(
  part: SubtaskSnapshot,
  producer: number,
  { run, subtasks }: Manifest,
  topology: Topology,
  services: Services,
): string | undefined {
  const from = subtasks.find(s => s.log === topology.logOfProducer(producer))
  if (from === undefined) return `it hears ${topology.logOfProducer(producer)}, which has no part`
  const [, ...id] = part.head.accepted.find(([p]) => p === producer) ?? [producer, 0, 0]
  const accepted = id as FrameId
  if (accepted[0] > from.version) return `it had taken ${accepted.join('.')} of ${from.log}, whose cut is at ${from.version}`
  const expected = new Map<string, number>()
  for (const { data } of services.kinesis.records(streamOf(topology.stream(part.stage)), part.shard)) {
    const header = readHeader(data)
    if (header.run !== run || header.producer !== producer || header.version > from.version) continue
    if (header.version < accepted[0] || (header.version === accepted[0] && header.index <= accepted[1])) continue
    // What lies below the floor may be a zombie's, in the place of what has expired (C1).
    const isBelowFloor = header.version < services.log.of(from.log).floor
    const slot = isBelowFloor ? undefined : services.log.get(from.log, header.version)
    // Its end is in each checkpoint from then on; what was decided before an earlier one was looked at there.
    if (slot === undefined && part.ended) continue
    if (slot === undefined) return `slot ${header.version} of ${from.log} is gone`
    if (decodeItem(slot).attempt === header.attempt) expected.set(`${header.version}.${header.index}`, recordsIn(data))
  }
  return keptFault(expected, keptOf(part, producer, services), from.log)
}

/** Records of a producer that are channel state, by frame. */
function keptOf({ channelState }: SubtaskSnapshot, producer: number, { bucket }: Services): Map<string, number> {
  const kept = new Map<string, number>()
  for (const blob of channelState)
    for (const { data, from, to } of unpack<KeptFrame[]>(bucket.get(blob)!)) {
      const { producer: sender, version, index } = readHeader(data)
      if (sender !== producer) continue
      const frame = `${version}.${index}`
      kept.set(frame, (kept.get(frame) ?? 0) + recordsIn(data, from, to))
    }
  return kept
}

function keptFault(expected: Map<string, number>, kept: Map<string, number>, producer: string): string | undefined {
  for (const frame of new Set([...expected.keys(), ...kept.keys()])) {
    const [has, needs] = [kept.get(frame) ?? 0, expected.get(frame) ?? 0]
    if (has !== needs) return `its channel state has ${has} records of frame ${frame} of ${producer}, not ${needs}`
  }
  return undefined
}

/** Of the entries `from` <= i < `to` those that are records. */
function recordsIn(data: Uint8Array, from = 0, to = Number.POSITIVE_INFINITY): number {
  const cursor = readFrame(data).reader()
  cursor.skip(from)
  let records = 0
  for (let type = cursor.next(); type >= 0 && cursor.offset <= to; type = cursor.next()) if (type === ENTRY_RECORD) records++
  return records
}
