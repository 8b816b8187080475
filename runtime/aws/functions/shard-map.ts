import type { SourcePosition } from '../../connectors/source.ts'
import { formatPosition, parsePosition } from '../position.ts'

/** A shard of which something may still come. */
export interface LiveShard {
  /** Of the last record that is taken, in 56 digits; '' before the first. */
  readonly sequenceNumber: string
  /** Its own, as of that record. */
  readonly watermark: number
  /** When that record was taken, or else when the shard was first heard of, epoch ms. */
  readonly takenAt: number
  /** It takes no more records, but those that it has may not all be taken. */
  readonly closed: boolean
}

/** 'ended': all that it ever had is taken. */
export type ShardState = LiveShard | 'ended'

/** How far a subtask has read each of its shards. */
export type ShardMap = ReadonlyMap<string, ShardState>

const ENDED = 'ended'
const CLOSED = 'closed'

/** Whether nothing can come of any of these any more. */
export function isEnded(map: ShardMap): boolean {
  return [...map.values()].every(state => state === ENDED)
}

/** Whether a subtask has had one shard so far, its split: then the position is the sequence number alone. */
export function isSingle(position: SourcePosition | undefined): boolean {
  return position === undefined || position.sequenceNumber !== undefined
}

/** `watermark`: the subtask's, which is that of its split as long as it has no other shard. */
export function readShardMap(position: SourcePosition | undefined, split: string, watermark: number, now: number): ShardMap {
  if (position === undefined || position.sequenceNumber !== undefined)
    return new Map([[split, { sequenceNumber: String(position?.sequenceNumber ?? ''), watermark, takenAt: now, closed: false }]])
  return new Map(Object.entries(position).map(([shard, text]) => [shard, parseState(String(text))]))
}

export function writeShardMap(map: ShardMap): SourcePosition {
  return Object.fromEntries([...map].map(([shard, state]) => [shard, formatState(state)]))
}

/** `<sequence number>@<watermark>@<taken at>`, with `@closed`, or `ended`. */
export function formatState(state: ShardState): string {
  if (state === ENDED) return ENDED
  const { sequenceNumber, watermark, takenAt, closed } = state
  const number = sequenceNumber === '' ? '' : parsePosition(sequenceNumber)
  return [number, watermark === Number.NEGATIVE_INFINITY ? '' : watermark, takenAt, ...(closed ? [CLOSED] : [])].join('@')
}

function parseState(text: string): ShardState {
  if (text === ENDED) return ENDED
  const [number, watermark, takenAt, closed] = text.split('@') as [string, string, string, string?]
  return {
    sequenceNumber: number === '' ? '' : formatPosition(number),
    watermark: watermark === '' ? Number.NEGATIVE_INFINITY : Number(watermark),
    takenAt: Number(takenAt),
    closed: closed === CLOSED,
  }
}

/** Up to where a shard is taken: '' for nothing of it, 'ended' for all. */
export function takenOf(position: SourcePosition | undefined, split: string, shard: string): string {
  if (position === undefined || position.sequenceNumber !== undefined)
    return shard === split ? String(position?.sequenceNumber ?? '') : ''
  const text = position[shard]
  if (text === undefined) return ''
  const state = parseState(String(text))
  return state === ENDED ? ENDED : state.sequenceNumber
}

/** Whether position `seq` of a shard lies within what is taken of it. */
export function isTaken(seq: string, taken: string): boolean {
  return taken === ENDED || seq <= taken
}

/** Whether a shard has been silent for so long that it holds no watermark back. */
export function isIdle({ takenAt }: LiveShard, idleAfter: number | undefined, now: number): boolean {
  return idleAfter !== undefined && now - takenAt >= idleAfter
}

/** The least watermark of the shards that may still bring something, without those that have been silent for `idleAfter`; undefined: there are none. */
export function leastWatermark(map: ShardMap, idleAfter: number | undefined, now: number): number | undefined {
  const heard = liveIn(map).filter(state => !isIdle(state, idleAfter, now))
  return heard.length === 0 ? undefined : Math.min(...heard.map(({ watermark }) => watermark))
}

/** A subtask's watermark: the least of its shards', or where all are silent the highest, as if they had become so one after the other; undefined: they have all ended. */
export function watermarkOf(map: ShardMap, idleAfter: number | undefined, now: number): number | undefined {
  const live = liveIn(map)
  return live.length === 0
    ? undefined
    : (leastWatermark(map, idleAfter, now) ?? Math.max(...live.map(({ watermark }) => watermark)))
}

const liveIn = (map: ShardMap) => [...map.values()].filter(state => state !== ENDED)
