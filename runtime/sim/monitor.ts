import type { Decision } from '../checkpoint/decision.ts'
import type { Layouts } from '../checkpoint/layouts.ts'
import { decodeManifest, manifestKey } from '../checkpoint/manifest.ts'
import { readHeader } from '../protocol/frame.ts'
import { type CommitItem, decodeItem, type FrameId, isLater, type SealItem, type SlotItem } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'
import { unpack } from '../state/codec.ts'
import { watchActs } from './acts.ts'
import { alignmentFault } from './alignment-check.ts'
import { type Arrivals, watchArrivals } from './arrivals.ts'
import { blobsOf, cutFault } from './cut-check.ts'
import type { LogTable } from './log.ts'
import type { Services } from './ports.ts'
import type { Shadow } from './shadow.ts'
import { Violation } from './simulation.ts'
import { streamOf } from './streams.ts'
import { subtaskOf } from './subtask-of.ts'
import { openView } from './views.ts'
import type { World } from './world.ts'

/** What a slot that is won must be like, given what is there: checked at the moment at which it is written. `timeoutMs`: the longest that an attempt takes. */
export function watchLogs(world: World, shadow: Shadow, timeoutMs: number, report: (violation: Violation) => void): void {
  const { log: table, kinesis } = world.services
  const arrivals = watchArrivals(kinesis)
  const acts = watchActs(world, report)
  table.onFloor = acts.onFloor
  world.services.onBlob = acts.onBlob
  world.services.onDelete = acts.onDelete
  world.services.onSweep = acts.onSweep
  world.services.onStart = acts.onStart
  world.services.onStep = acts.onStep
  world.services.onFold = shadow.foldBegins
  world.services.openView = sandbox => openView(sandbox, world.topologyOf, report)
  const read = openReader(table)
  table.onSlot = (log, version, bytes, now) => {
    // One that has gone may land again, late: nobody reads it there.
    if (/^[^/]+\/decisions$/.test(log))
      return version < table.of(log).floor ? undefined : watchDecision(world, shadow, log, version, bytes, report)
    const topologyNow = world.topologyOf(log.slice(0, log.indexOf('/')))
    if (topologyNow !== undefined && log === `${topologyNow.run}/layouts`) return adopt(topologyNow, bytes)
    if (!/^[^/]+\/[^/]+\/\d+$/.test(log)) return
    // Below the floor a slot that was deleted counts as free: whoever takes it finds out by the floor (C2).
    if (version <= table.of(log).floor) return
    const item = read(log, version)!
    const fail = (what: string) => report(new Violation(`slot ${version} of ${log}: ${what}`))
    if (item.attempt === 'restored') return
    if (item.attempt === 'inherited') {
      if (item.kind !== 'commit') return
      checkChild(topologyNow!, log, item, table, read, fail)
      shadow.commit(log, version, item)
      return
    }
    const topology = topologyNow!
    if (item.kind === 'abort') {
      const since = arrivals.sentAt(log, version, topology)
      if (since === undefined) fail('it is aborted, though no frame waits for it')
      else if (now - since < timeoutMs) fail(`it is aborted ${Math.round(now - since)} ms after its first frame was sent`)
    }
    const before = read(log, version - 1)
    if (version > 1 && before === undefined) return fail('its predecessor is not there')
    if (item.prev !== (before?.attempt ?? ''))
      return fail(`it names ${item.prev} as its predecessor, which is ${before?.attempt}`)
    const last = newest(read, log, version - 1, isCommit)
    if (item.kind === 'abort') return
    checkTaken(log, last, item, arrivals, read, topology, fail)
    if (last !== undefined) compare(last, item, fail)
    const open = alignmentFault(topology, log, last, item, name => newest(read, name, table.of(name).last, hasHead)?.head)
    if (open !== undefined) fail(open)
    if (item.kind === 'seal') checkSeal(world, log, item, fail)
    shadow.commit(log, version, item)
  }
}

/** The shards of stages, as the run has them from now on. */
function adopt(topology: Topology, bytes: Uint8Array): void {
  for (const [stage, layout] of unpack<Layouts>(bytes)) topology.adopt(stage, layout)
}

/** What a log ends with: its shard is closed, and nothing lies in it behind the position (protocol.md, F2). */
function checkSeal({ services }: World, log: string, { head }: SealItem, fail: (what: string) => void): void {
  const [run, stage, shard] = log.split('/') as [string, string, string]
  if (services.between.get(stage)!.shards[Number(shard)]!.until === Number.POSITIVE_INFINITY)
    fail('it seals a log whose shard is open')
  // Others that the stream has worked for may have left theirs.
  const left = services.kinesis
    .records(stage, Number(shard))
    .filter(({ seq, data }) => seq > head.position.seq && readHeader(data).run === run).length
  if (left > 0 || head.position.offset > 0) fail(`it seals a log whose shard has ${left} more records, or a part of one`)
}

/** A child begins with the lowest watermark of its parents, none of a producer that one of them had not heard, and knows of what is due with any (protocol.md, F3). */
function checkChild(
  topology: Topology,
  log: string,
  { head }: CommitItem,
  table: LogTable,
  read: Read,
  fail: (what: string) => void,
): void {
  const { stage, shard } = subtaskOf(topology, log)
  const names = topology.shard(stage.index, shard).parents.map(parent => topology.log(stage.index, parent))
  const ends = names.map(name => read(name, table.of(name).last)).filter(end => end?.kind === 'seal')
  // It has expired: another child has begun long ago.
  if (ends.length < names.length) return
  const lowest = Math.min(...ends.map(end => end.head.watermark))
  if (head.watermark !== lowest) fail(`it begins with the watermark ${head.watermark}, but ${names} end with ${lowest}`)
  const due = Math.min(...ends.map(end => end.head.timerAt ?? Number.POSITIVE_INFINITY))
  if ((head.timerAt ?? Number.POSITIVE_INFINITY) > due)
    fail(`the next timer that it knows of is due at ${head.timerAt}, but ${names} end with one that is at ${due}`)
  const known = new Map(head.watermarks)
  for (const [producer, heard] of ends.flatMap(end => end.head.watermarks))
    if (known.has(producer) && known.get(producer)! > heard)
      fail(`it begins with the watermark ${known.get(producer)} of producer ${producer}, but ${names} end with ${heard}`)
}

/** What a checkpoint is that was decided complete. */
function watchDecision(
  { services, topologyOf }: World,
  shadow: Shadow,
  log: string,
  checkpoint: number,
  bytes: Uint8Array,
  report: (violation: Violation) => void,
): void {
  const run = log.slice(0, log.indexOf('/'))
  const { outcome, restored } = unpack<Decision>(bytes)
  const topology = topologyOf(run)
  const before = services.log.get(log, checkpoint - 1)
  if (restored !== true && checkpoint > 1 && before === undefined && checkpoint - 1 >= services.log.of(log).floor)
    report(new Violation(`checkpoint ${checkpoint} of ${run} is decided before ${checkpoint - 1}`))
  if (before !== undefined && unpack<Decision>(before).outcome === 'superseded')
    report(new Violation(`checkpoint ${checkpoint} of ${run} is ${outcome}, though the run has ended`))
  if (outcome !== 'complete' || restored === true || topology === undefined) return
  const key = manifestKey(run, checkpoint)
  const manifest = services.bucket.get(key)
  const check = async () => {
    if (manifest === undefined) return 'it has no manifest'
    const decoded = decodeManifest(manifest, key)
    return cutFault(decoded, topology, services) ?? keptFault(run, checkpoint, services) ?? shadow.ofCheckpoint(decoded)
  }
  check().then(fault => {
    if (fault !== undefined) report(new Violation(`checkpoint ${checkpoint} is complete, but ${fault}`))
  }, report)
}

/** Of those before it, the newest two that are complete stay with it: somebody may go back to them, or have begun to copy one. */
const KEPT_BEFORE = 2

/** What is missing of the checkpoints that are kept beside the newest. */
function keptFault(run: string, checkpoint: number, { log, bucket }: Services): string | undefined {
  const decided = [...log.of(`${run}/decisions`).slots].filter(([n]) => n < checkpoint).sort(([a], [b]) => b - a)
  const complete = decided.filter(([, { item }]) => unpack<Decision>(item).outcome === 'complete').slice(0, KEPT_BEFORE)
  for (const [n] of complete) {
    const key = manifestKey(run, n)
    const manifest = bucket.get(key)
    const missing = manifest === undefined ? key : blobsOf(decodeManifest(manifest, key)).find(blob => !bucket.has(blob))
    if (missing !== undefined) return `of checkpoint ${n}, which is kept, ${missing} is gone`
  }
  return undefined
}

type Read = (log: string, version: number) => SlotItem | undefined

/** A slot never changes: each is decoded once, and looked at again with those behind it. */
function openReader(table: LogTable): Read {
  const decoded = new WeakMap<Uint8Array, SlotItem>()
  return (log, version) => {
    const bytes = table.get(log, version)
    if (bytes === undefined) return undefined
    const item = decoded.get(bytes) ?? decodeItem(bytes)
    decoded.set(bytes, item)
    return item
  }
}

/** The newest of such items, with none missing behind it. */
function newest<T extends SlotItem>(read: Read, log: string, from: number, isSuch: (item: SlotItem) => item is T): T | undefined {
  for (let version = from; version > 0; version--) {
    const item = read(log, version)
    if (item === undefined || isSuch(item)) return item
  }
  return undefined
}

const isCommit = (item: SlotItem): item is CommitItem => item.kind === 'commit'
const hasHead = (item: SlotItem): item is CommitItem | SealItem => item.kind !== 'abort'

/** Nothing of a head ever goes back. */
function compare({ head: a }: CommitItem, { head: b }: CommitItem | SealItem, fail: (what: string) => void): void {
  if (b.watermark < a.watermark) fail(`the watermark goes back from ${a.watermark} to ${b.watermark}`)
  if (b.position.seq < a.position.seq) fail(`the position goes back from ${a.position.seq} to ${b.position.seq}`)
  if (b.lastCut < a.lastCut) fail(`the last cut goes back from ${a.lastCut} to ${b.lastCut}`)
  const accepted = new Map(b.accepted.map(([producer, ...id]): [number, FrameId] => [producer, id]))
  for (const [producer, ...before] of a.accepted) {
    const now = accepted.get(producer)
    // It has ended, and others have taken its place.
    if (now === undefined && b.producers !== undefined && !b.producers.includes(producer)) continue
    if (now === undefined || isLater(before, now))
      fail(`the last frame accepted of producer ${producer} goes back from ${before.join('.')} to ${now}`)
  }
}

/** Between what was taken before and what is now, nothing is left out (protocol.md, B1). */
function checkTaken(
  log: string,
  before: CommitItem | undefined,
  { head }: CommitItem | SealItem,
  arrivals: Arrivals,
  read: Read,
  topology: Topology,
  fail: (what: string) => void,
): void {
  const { stage, shard } = subtaskOf(topology, log)
  if (stage.source !== undefined) return
  const stream = streamOf(topology.stream(stage.index))
  const taken = new Map(before?.head.accepted.map(([producer, ...frame]): [number, FrameId] => [producer, frame]))
  for (const [producer, ...frame] of head.accepted) {
    const winner = (version: number) => read(topology.logOfProducer(producer), version)?.attempt
    const channel = { stream, shard, run: topology.run, producer }
    const gap = arrivals.gapIn(channel, taken.get(producer) ?? NONE, frame, winner)
    if (gap !== undefined) fail(`it takes frame ${frame.join('.')} of ${topology.logOfProducer(producer)}, but ${gap}`)
  }
}

const NONE: FrameId = [0, 0]
