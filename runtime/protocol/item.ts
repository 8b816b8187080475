import type { SinkState } from '../connectors/sink.ts'
import type { SourcePosition } from '../connectors/source.ts'
import { pack, unpack } from '../state/codec.ts'
import { BrokenLogError } from './errors.ts'

/** (version, index) of a frame on one channel; [0, 0]: none yet. */
export type FrameId = readonly [version: number, index: number]

export function later(a: FrameId, b: FrameId): FrameId {
  return isLater(a, b) ? a : b
}

export function isLater(a: FrameId, b: FrameId): boolean {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1])
}

/** Where a subtask stands in its input. */
export interface Position {
  /** Last record of the stream that is wholly consumed; '' before the first. */
  readonly seq: string
  /** Entries consumed of the record behind it, when a commit ended inside a frame. */
  readonly offset: number
  /** Which frame that is, if any of it is consumed. */
  readonly frame?: readonly [producer: number, ...FrameId]
}

/** An alignment (protocol.md, D3): open while producers are pending, then it stays as the record of the last cut. */
export interface Alignment {
  readonly checkpoint: number
  /** The version that is the cut. */
  readonly version: number
  readonly watermark: number
  /** Producers whose barrier has not come yet. Empty: acked. */
  readonly pending: readonly number[]
  /** Blobs that hold the channel state. */
  readonly channelState: readonly string[]
}

/** Channel state of the checkpoint that this run was restored from, which has to be taken before anything else (protocol.md, D8). */
export interface Injection {
  readonly blobs: readonly string[]
  /** Entries of them, over all frames, that are taken. */
  readonly taken: number
}

/** Timers of one operator that are still firing for a watermark (it fires more than fit in one commit). */
export interface Firing {
  readonly operator: number
  readonly upTo: number
}

/**
 * All that a subtask is besides keyed state, as of one commit. It is whole in each item, so that the newest item alone is the
 * head: nothing has to be folded, and expiry leaves one item to start from.
 */
export interface HeadFields {
  readonly position: Position
  /** Sources: behind the last record taken. */
  readonly source: SourcePosition | undefined
  readonly sourceDone: boolean
  /** Last accepted frame by producer. */
  readonly accepted: readonly (readonly [producer: number, ...FrameId])[]
  /** By producer; -Infinity: idle or unheard of. */
  readonly watermarks: readonly (readonly [producer: number, watermark: number])[]
  readonly idle: readonly number[]
  /** Those that count here; absent: all that there were in the beginning (protocol.md, F2). */
  readonly producers?: readonly number[]
  /** The subtask's own watermark. */
  readonly watermark: number
  /** Last sent frame by channel (stage index, shard). */
  readonly sent: readonly (readonly [stage: number, shard: number, ...FrameId])[]
  /** The same of shards that were closed, until those that take over have begun: they look whether all of it came (protocol.md, F3). Absent: none. */
  readonly sentClosed?: HeadFields['sent']
  /** Watermark of each operator in the chain, only while some are firing. */
  readonly operatorWatermarks: readonly number[] | undefined
  readonly firing: readonly Firing[]
  readonly lastCut: number
  readonly alignment: Alignment | undefined
  readonly injection: Injection | undefined
  /** By index of the operator in the chain. */
  readonly sinks: readonly (readonly [operator: number, state: SinkState])[]
  /** Since the beginning. */
  readonly counts: Counts
  /** Of a source with `idleAfter`: when it took its last record, epoch ms. Absent: it had none, or this item is older than the field. */
  readonly heardAt?: number
  /** Of a source of a run that a backfill went before: records before this event time, epoch ms, were in that one, and are passed over. Absent: none. */
  readonly takesFrom?: number
  /** The earliest timer of processing time, epoch ms; absent: there is none. */
  readonly timerAt?: number
}

export interface Counts {
  readonly recordsIn: number
  readonly recordsOut: number
  readonly deadLetters: number
  /** Late records that were dropped, for want of a side output. */
  readonly late: number
  readonly results: number
  readonly commits: number
}

export function countsOf(field: (name: keyof Counts) => number): Counts {
  return {
    recordsIn: field('recordsIn'),
    recordsOut: field('recordsOut'),
    deadLetters: field('deadLetters'),
    late: field('late'),
    results: field('results'),
    commits: field('commits'),
  }
}

export function sumOf(all: readonly Counts[]): Counts {
  return countsOf(field => all.reduce((sum, counts) => sum + counts[field], 0))
}

/** State changes of a commit: small ones lie in the item, others in a blob that carries the attempt in its name. */
export type ChunkRef = { readonly inline: Uint8Array } | { readonly blob: string } | undefined

export interface CommitItem {
  readonly kind: 'commit'
  readonly attempt: string
  /** Attempt of the slot before this one (protocol.md, C7), '' for the first. */
  readonly prev: string
  /** Of the last real commit before this one; 0 and '' for none. */
  readonly lastCommit: readonly [version: number, attempt: string]
  readonly head: HeadFields
  readonly chunk: ChunkRef
}

/** Written into a dead producer's slot by a consumer that helps: the state of the slot before carries on. */
export interface AbortItem {
  readonly kind: 'abort'
  readonly attempt: string
  readonly prev: string
}

/** The end of a log: its shard was split or merged, and all of it is consumed (protocol.md, F2). A commit, and the last one. */
export interface SealItem extends Omit<CommitItem, 'kind'> {
  readonly kind: 'seal'
  /** The shards that took over. */
  readonly children: readonly number[]
}

export type SlotItem = CommitItem | AbortItem | SealItem

export function encodeItem(item: SlotItem): Uint8Array {
  return pack(item)
}

/** @throws BrokenLogError when it is none */
export function decodeItem(bytes: Uint8Array): SlotItem {
  let item: SlotItem | undefined
  try {
    item = unpack(bytes)
  } catch {
    // It is none.
  }
  const { kind, attempt, prev, head }: { kind?: string; attempt?: unknown; prev?: unknown; head?: HeadFields } = Object(item)
  const isItem = kind === 'abort' || ((kind === 'commit' || kind === 'seal') && head?.position !== undefined)
  if (isItem && typeof attempt === 'string' && typeof prev === 'string') return item!
  throw new BrokenLogError('a slot of a log holds what is no commit')
}

export const emptyHead: HeadFields = {
  position: { seq: '', offset: 0 },
  source: undefined,
  sourceDone: false,
  accepted: [],
  watermarks: [],
  idle: [],
  watermark: Number.NEGATIVE_INFINITY,
  sent: [],
  operatorWatermarks: undefined,
  firing: [],
  lastCut: 0,
  alignment: undefined,
  injection: undefined,
  sinks: [],
  counts: { recordsIn: 0, recordsOut: 0, deadLetters: 0, late: 0, results: 0, commits: 0 },
}
