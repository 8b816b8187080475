import type { Decision } from '../checkpoint/decision.ts'
import { decodeManifest, manifestKey } from '../checkpoint/manifest.ts'
import { readHeader } from '../protocol/frame.ts'
import { type CommitItem, decodeItem, type SlotItem } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'
import { unpack } from '../state/codec.ts'
import { blobsOf, cutFault } from './cut-check.ts'
import type { LogTable } from './log.ts'
import type { Services } from './ports.ts'
import type { Shadow } from './shadow.ts'
import { Violation } from './simulation.ts'
import type { Kinesis } from './streams.ts'
import { sourceStream, type World } from './world.ts'

/** What a slot that is won must be like, given what is there: checked at the moment at which it is written. `timeoutMs`: the longest that an attempt takes. */
export function watchLogs(world: World, shadow: Shadow, timeoutMs: number, report: (violation: Violation) => void): void {
  const { log: table, kinesis } = world.services
  const sentAt = watchFrames(kinesis)
  const read = openReader(table)
  table.onSlot = (log, version, bytes, now) => {
    if (/^[^/]+\/decisions$/.test(log)) return watchDecision(world, shadow, log, version, bytes, report)
    if (!/^[^/]+\/[^/]+\/\d+$/.test(log)) return
    // Below the floor a slot that was deleted counts as free: whoever takes it finds out by the floor (C2).
    if (version <= table.of(log).floor) return
    const item = read(log, version)!
    const fail = (what: string) => report(new Violation(`slot ${version} of ${log}: ${what}`))
    if (item.attempt === 'restored') return
    if (item.kind === 'abort') {
      const since = sentAt(log, version, world.topology!)
      if (since === undefined) fail('it is aborted, though no frame waits for it')
      else if (now - since < timeoutMs) fail(`it is aborted ${Math.round(now - since)} ms after its first frame was sent`)
    }
    const before = read(log, version - 1)
    if (version > 1 && before === undefined) return fail('its predecessor is not there')
    if (item.prev !== (before?.attempt ?? ''))
      return fail(`it names ${item.prev} as its predecessor, which is ${before?.attempt}`)
    const last = lastCommit(read, log, version - 1)
    if (item.kind === 'commit' && last !== undefined) compare(last, item, fail)
    if (item.kind === 'commit') shadow.commit(log, version, item)
  }
}

/** What a checkpoint is that was decided complete. */
function watchDecision(
  { services, topology }: World,
  shadow: Shadow,
  log: string,
  checkpoint: number,
  bytes: Uint8Array,
  report: (violation: Violation) => void,
): void {
  const run = log.slice(0, log.indexOf('/'))
  const { outcome, restored } = unpack<Decision>(bytes)
  if (outcome !== 'complete' || restored === true || run !== topology?.run) return
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

/** When the first frame of this version, or of one above it, was sent by the subtask of a log; undefined: none was. */
function watchFrames(kinesis: Kinesis): (log: string, version: number, topology: Topology) => number | undefined {
  const first = new Map<string, Map<number, number>>()
  kinesis.onRecord = (stream, data, now) => {
    if (stream.startsWith(sourceStream(''))) return
    const { run, producer, version } = readHeader(data)
    const versions = first.get(`${run} ${producer}`) ?? new Map<number, number>()
    first.set(`${run} ${producer}`, versions)
    if (!versions.has(version)) versions.set(version, now)
  }
  return (log, version, topology) => {
    const [run, stage, shard] = log.split('/')
    const at = topology.stages.find(s => s.stage.id === stage)!
    const versions = first.get(`${run} ${at.firstProducer + Number(shard)}`) ?? new Map<number, number>()
    const times = [...versions].flatMap(([v, sent]) => (v >= version ? [sent] : []))
    return times.length === 0 ? undefined : Math.min(...times)
  }
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

function lastCommit(read: Read, log: string, from: number): CommitItem | undefined {
  for (let version = from; version > 0; version--) {
    const item = read(log, version)
    if (item === undefined) return undefined
    if (item.kind === 'commit') return item
  }
  return undefined
}

/** Nothing of a head ever goes back. */
function compare({ head: a }: CommitItem, { head: b }: CommitItem, fail: (what: string) => void): void {
  if (b.watermark < a.watermark) fail(`the watermark goes back from ${a.watermark} to ${b.watermark}`)
  if (b.position.seq < a.position.seq) fail(`the position goes back from ${a.position.seq} to ${b.position.seq}`)
  if (b.lastCut < a.lastCut) fail(`the last cut goes back from ${a.lastCut} to ${b.lastCut}`)
  const accepted = new Map(b.accepted.map(([producer, ...id]) => [producer, id]))
  for (const [producer, version, index] of a.accepted) {
    const now = accepted.get(producer)
    if (now === undefined || now[0] < version || (now[0] === version && now[1] < index))
      fail(`the last frame accepted of producer ${producer} goes back from ${version}.${index} to ${now}`)
  }
}
