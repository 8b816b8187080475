import type { KeySpec } from '../../graph/graph.ts'
import { canonicalKey, type KeyPart, keyGroup, subtaskOf } from '../../graph/key.ts'
import type { StageEdge } from '../../graph/plan.ts'
import type { Blobs } from '../../ports.ts'
import { ENTRY_RECORD, ENTRY_WATERMARK, FrameWriter, readFrame } from '../../protocol/frame.ts'
import type { StageTopology } from '../../stage/topology.ts'
import { Working } from '../../stage/working.ts'
import { ALL_PRODUCERS, encodeChannelState, type KeptFrame, readChannelState } from '../channel-state.ts'
import type { SubtaskSnapshot } from '../manifest.ts'
import { type Former, type FormerStage, formerProducers, heirsIn, originsOf } from './former.ts'
import { originsFor } from './heads.ts'

/** Raw bytes of a frame, and frames of a blob: what is in memory at a time. */
const FRAME_BYTES = 256 * 1024
const BLOB_FRAMES = 16

interface Entry {
  readonly edge: number
  readonly value: unknown
  readonly timestamp: number
  readonly key: KeyPart | undefined
}

/** What was on its way to one former subtask, as far as another one gets it. */
interface Lane {
  /** As it was judged by in front of the next entry. */
  watermark: number
  readonly entries: AsyncIterator<Entry | { readonly watermark: number }>
  next: IteratorResult<Entry | { readonly watermark: number }>
}

/**
 * What was on its way to former subtasks, with who owns its key group now: as blobs of channel state. A record without a key goes to the first of their heirs; one for every subtask to each that goes on with that copy.
 *
 * Several subtasks' entries are merged so that each is met at the watermark that it would have been met at: whoever has come least far is taken on. So records are late, and windows closed, as they would have been there.
 *
 * @throws SnapshotError a part is gone
 */
export async function divideChannels(
  former: Former,
  at: StageTopology,
  shard: number,
  from: Pick<Blobs, 'get'>,
): Promise<Uint8Array[]> {
  const origins = at.stage.source === undefined ? originsFor(former, at, shard) : []
  if (origins.every(s => s.channelState.length === 0)) return []
  const { run } = former.topology
  const header = { run, producer: ALL_PRODUCERS, version: 1, attempt: '', index: 1, predVersion: 0, predIndex: 0 }
  const writer = new FrameWriter()
  const blobs: Uint8Array[] = []
  let frames: KeptFrame[] = []
  const endBlob = () => {
    if (frames.length > 0) blobs.push(encodeChannelState(frames))
    frames = []
  }
  const endFrame = () => {
    if (writer.count > 0) frames.push({ data: writer.finish(header), from: 0, to: Number.POSITIVE_INFINITY })
    if (frames.length >= BLOB_FRAMES) endBlob()
  }
  for await (const entry of merged(await lanesOf(former, origins, at, shard, from))) {
    if ('watermark' in entry) writer.watermark(entry.watermark)
    else writer.record(entry.edge, entry.value, entry.timestamp, entry.key)
    if (writer.approximateBytes >= FRAME_BYTES) endFrame()
  }
  endFrame()
  endBlob()
  return blobs
}

async function lanesOf(
  former: Former,
  origins: readonly SubtaskSnapshot[],
  at: StageTopology,
  shard: number,
  from: Pick<Blobs, 'get'>,
): Promise<Lane[]> {
  const lanes = origins.map(async s => {
    const entries = entriesOf(former, s, at, shard, from)
    return { watermark: s.head.watermark, entries, next: await entries.next() }
  })
  return Promise.all(lanes)
}

/** Whoever has come least far first; watermarks as they rise for all. */
async function* merged(lanes: readonly Lane[]): AsyncGenerator<Entry | { readonly watermark: number }> {
  let risen = Math.min(...lanes.map(l => l.watermark))
  for (;;) {
    let least: Lane | undefined
    for (const lane of lanes) if (!lane.next.done && (least === undefined || lane.watermark < least.watermark)) least = lane
    const watermark = Math.min(...lanes.map(l => l.watermark))
    if (watermark > risen) {
      risen = watermark
      yield { watermark }
    }
    if (least === undefined) return
    const entry: Entry | { readonly watermark: number } = least.next.value
    if ('watermark' in entry) least.watermark = entry.watermark
    else yield entry
    least.next = await least.entries.next()
  }
}

/** Of one former subtask: records that are this one's now, and its watermark as it rose. */
async function* entriesOf(
  former: Former,
  s: SubtaskSnapshot,
  at: StageTopology,
  shard: number,
  from: Pick<Blobs, 'get'>,
): AsyncGenerator<Entry | { readonly watermark: number }> {
  const stage = former.stages[s.stage]!
  const working = new Working(s.head, formerProducers(former, s.stage, s.shard))
  const readers = former.edges.map(({ heirs }) =>
    heirs
      .filter(edge => edge.toStage === at.stage.index)
      .map(edge => ({ edge: edge.id, isMine: ownership(former, stage, s.shard, edge, at, shard) })),
  )
  for await (const { data, from: first, to } of readChannelState(from, s.channelState)) {
    const frame = readFrame(data)
    const { producer } = frame.header
    const cursor = frame.reader()
    if (first > 0) cursor.skip(first)
    working.idle.delete(producer)
    for (let i = first, type = cursor.next(); i < to && type >= 0; i++, type = cursor.next()) {
      if (type === ENTRY_RECORD) {
        const key = cursor.key as KeyPart | undefined
        for (const { edge, isMine } of readers[cursor.edge]!)
          if (isMine(cursor.value, key)) yield { edge, value: cursor.value, timestamp: cursor.timestamp, key }
      } else if (type === ENTRY_WATERMARK) {
        const watermark =
          producer === ALL_PRODUCERS ? working.raise(cursor.watermark) : working.onWatermark(producer, cursor.watermark)
        if (watermark !== undefined) yield { watermark }
      }
    }
  }
}

/** Whether a record on its way to subtask `of` of a former stage is this one's. */
function ownership(
  former: Former,
  stage: FormerStage,
  of: number,
  { exchange, carryKey }: StageEdge,
  at: StageTopology,
  shard: number,
) {
  if (exchange.kind === 'broadcast') {
    const copied = originsOf(former, stage, at, shard)[0] === of
    return () => copied
  }
  const heirs = heirsIn(former, stage, of, at)
  const first = heirs[0] === shard
  if (exchange.kind === 'forward') return () => first
  const { keyGroups } = former.topology.plan.options
  return (value: unknown, carried: KeyPart | undefined) => {
    const key = carryKey ? carried! : keyOf(exchange.key, value)
    const owner = key === undefined ? undefined : subtaskOf(keyGroup(key, keyGroups), keyGroups, at.parallelism)
    // Its function gives another key than it did, or fails: so it will where it goes, which is one place.
    return owner === undefined || !heirs.includes(owner) ? first : owner === shard
  }
}

function keyOf({ of, label }: KeySpec, value: unknown): KeyPart | undefined {
  try {
    return canonicalKey(of(value), label)
  } catch {
    return undefined
  }
}
