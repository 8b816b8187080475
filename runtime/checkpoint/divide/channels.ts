import type { KeySpec } from '../../graph/graph.ts'
import { canonicalKey, type KeyPart, keyGroup, subtaskOf } from '../../graph/key.ts'
import type { StageEdge } from '../../graph/plan.ts'
import type { Blobs } from '../../ports.ts'
import { ENTRY_RECORD, ENTRY_WATERMARK, FrameWriter, readFrame } from '../../protocol/frame.ts'
import { SEAL_EDGE, type Seal } from '../../protocol/seal.ts'
import type { StageTopology } from '../../stage/topology.ts'
import { Working } from '../../stage/working.ts'
import { ALL_PRODUCERS, encodeChannelState, type KeptFrame, readChannelState } from '../channel-state.ts'
import { StateMismatchError } from '../run-meta.ts'
import { type Former, type FormerSubtask, formerProducers, heirsIn, originsFor, originsIn } from './former.ts'

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
  origins: readonly FormerSubtask[],
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
  s: FormerSubtask,
  at: StageTopology,
  shard: number,
  from: Pick<Blobs, 'get'>,
): AsyncGenerator<Entry | { readonly watermark: number }> {
  const working = new Working(s.head, formerProducers(former, s))
  const readers = former.edges.map(({ heirs }) =>
    heirs
      .filter(edge => edge.toStage === at.stage.index)
      .map(edge => ({ edge: edge.id, isMine: ownership(former, s, edge, at, shard) })),
  )
  for await (const { data, from: first, to } of readChannelState(from, s.channelState)) {
    const frame = readFrame(data)
    const { producer, version, index } = frame.header
    const cursor = frame.reader()
    if (first > 0) cursor.skip(first)
    working.idle.delete(producer)
    for (let i = first, type = cursor.next(); i < to && type >= 0; i++, type = cursor.next()) {
      if (type === ENTRY_RECORD && cursor.edge === SEAL_EDGE)
        working.replace(producer, (cursor.value as Seal).children, [version, index])
      else if (type === ENTRY_RECORD) {
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

/** Whether a record on its way to a former subtask is this one's. */
function ownership(former: Former, of: FormerSubtask, { exchange, carryKey }: StageEdge, at: StageTopology, shard: number) {
  if (exchange.kind === 'broadcast') {
    const copied = originsIn(former, former.stages[of.stage]!, at, shard)[0] === of
    return () => copied
  }
  const heirs = heirsIn(former, of, at)
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

/**
 * Whether each record that was on its way has somewhere to go.
 * @throws StateMismatchError
 */
export async function refuseLost({ stages, edges }: Former, from: Pick<Blobs, 'get'>): Promise<void> {
  for (const { index, subtasks } of stages) {
    if (!edges.some(e => e.toStage === index && e.lost !== undefined)) continue
    for await (const { data, from: first, to } of readChannelState(
      from,
      subtasks.flatMap(s => s.channelState),
    )) {
      const cursor = readFrame(data).reader()
      if (first > 0) cursor.skip(first)
      for (let i = first, type = cursor.next(); i < to && type >= 0; i++, type = cursor.next()) {
        const edge = type === ENTRY_RECORD && cursor.edge !== SEAL_EDGE ? edges[cursor.edge]! : undefined
        if (edge?.lost !== undefined)
          throw new StateMismatchError(
            `records were on their way from ${edge.from} to ${edge.lost} when the checkpoint was taken, and no such way is there any more: run the code that took it once more, and stop it (Ctrl-C), so that they arrive`,
          )
      }
    }
  }
}
