import { readHeader } from '../protocol/frame.ts'
import { type CommitItem, decodeItem, type SlotItem } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'
import type { LogTable } from './log.ts'
import { Violation } from './simulation.ts'
import type { Kinesis } from './streams.ts'
import { sourceStream, type World } from './world.ts'

/** What a slot that is won must be like, given what is there: checked at the moment at which it is written. */
export function watchLogs(world: World, report: (violation: Violation) => void): void {
  const { log: table, kinesis } = world.services
  const sent = watchFrames(kinesis)
  table.onSlot = (log, version, bytes) => {
    if (!/^[^/]+\/[^/]+\/\d+$/.test(log)) return
    // Below the floor a slot that was deleted counts as free: whoever takes it finds out by the floor (C2).
    if (version <= table.of(log).floor) return
    const item = decodeItem(bytes)
    const fail = (what: string) => report(new Violation(`slot ${version} of ${log}: ${what}`))
    if (item.attempt === 'restored') return
    if (item.kind === 'abort' && !sent(log, version, world.topology!)) fail('it is aborted, though no frame waits for it')
    const before = read(table, log, version - 1)
    if (version > 1 && before === undefined) return fail('its predecessor is not there')
    if (item.prev !== (before?.attempt ?? ''))
      return fail(`it names ${item.prev} as its predecessor, which is ${before?.attempt}`)
    const last = lastCommit(table, log, version - 1)
    if (item.kind === 'commit' && last !== undefined) compare(last, item, fail)
  }
}

/** Whether a frame of this version, or of one above it, was ever sent by the subtask of a log. */
function watchFrames(kinesis: Kinesis): (log: string, version: number, topology: Topology) => boolean {
  const newest = new Map<string, number>()
  kinesis.onRecord = (stream, data) => {
    if (stream.startsWith(sourceStream(''))) return
    const { run, producer, version } = readHeader(data)
    newest.set(`${run} ${producer}`, Math.max(version, newest.get(`${run} ${producer}`) ?? 0))
  }
  return (log, version, topology) => {
    const [run, stage, shard] = log.split('/')
    const at = topology.stages.find(s => s.stage.id === stage)!
    return version <= (newest.get(`${run} ${at.firstProducer + Number(shard)}`) ?? 0)
  }
}

function read(table: LogTable, log: string, version: number): SlotItem | undefined {
  const bytes = table.get(log, version)
  return bytes === undefined ? undefined : decodeItem(bytes)
}

function lastCommit(table: LogTable, log: string, from: number): CommitItem | undefined {
  for (let version = from; version > 0; version--) {
    const item = read(table, log, version)
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
