import type { SourcePosition } from '../connectors/source.ts'
import type { Shape } from '../graph/shape.ts'
import { stateOfText } from '../graph/state-text.ts'
import type { Blobs } from '../ports.ts'
import { listBounds } from '../state/spec.ts'
import { type SavepointEntry, savepointEntries } from './entries.ts'
import type { SavepointManifest, SavepointOrigin } from './format.ts'

/** One state of an operator, over all its keys. */
export interface StateSize {
  readonly state: string
  /** As declared: name, primitive, and what else its entries depend on (graph/state-text.ts). */
  readonly declared: string
  keys: number
  entries: number
  /** Addresses and values, before compression. */
  bytes: number
  /** Entries that have a time to live. */
  expiring: number
}

export interface TimerSize {
  count: number
  /** The earliest, epoch ms. */
  next: number | undefined
}

export interface InspectedOperator {
  readonly operator: string
  readonly type: string
  readonly states: readonly StateSize[]
  readonly timers: { readonly event: TimerSize; readonly processing: TimerSize }
}

export interface InspectedStage {
  readonly stage: string
  readonly subtasks: number
  /** The lowest of its subtasks, epoch ms; -Infinity: none yet, Infinity: at the end of its input. */
  readonly watermark: number
  /** Since the beginning. */
  readonly recordsIn: number
  /** Of a source, by split; undefined: nothing was read. */
  readonly positions: readonly {
    readonly source: string
    readonly split: string
    readonly position: SourcePosition | undefined
  }[]
  /** What was on its way to it, as stored. */
  readonly channelBytes: number
  readonly operators: readonly InspectedOperator[]
}

export interface Inspected {
  readonly pipeline: string
  readonly checkpoint: number
  /** Epoch ms. */
  readonly createdAt: number
  readonly takenAt: number
  readonly takenFrom: SavepointOrigin
  /** Of all files. */
  readonly bytes: number
  readonly keyGroups: number
  readonly stages: readonly InspectedStage[]
}

/**
 * What is in a savepoint: all its entries are read once.
 * @throws SnapshotError a file is missing or damaged
 */
export async function inspectSavepoint(blobs: Pick<Blobs, 'get'>, manifest: SavepointManifest): Promise<Inspected> {
  const { pipeline, checkpoint, createdAt, takenAt, takenFrom, files } = manifest
  const shape: Shape = JSON.parse(manifest.shape)
  const operators = new Map(shape.stages.flatMap(s => s.operators.map(o => [o.id, emptyOperator(o)] as const)))
  const last = new Map<StateSize, string>()
  for await (const entry of savepointEntries(blobs, manifest)) add(operators.get(entry.operator)!, entry, last)
  const size = new Map(files.map(({ name, bytes }) => [name, bytes]))
  const positions = positionsOf(manifest)
  const stages = shape.stages.map((stage, index): InspectedStage => {
    const mine = manifest.subtasks.filter(s => s.stage === index)
    const subtasks = mine.filter(s => !s.ended)
    return {
      stage: stage.id,
      subtasks: subtasks.length,
      watermark: Math.min(...subtasks.map(s => s.head.watermark)),
      recordsIn: subtasks.reduce((sum, s) => sum + s.head.counts.recordsIn, 0),
      positions: positions.filter(p => p.stage === stage.id).map(({ source, split, position }) => ({ source, split, position })),
      channelBytes: subtasks.flatMap(s => s.channelState).reduce((sum, name) => sum + (size.get(name) ?? 0), 0),
      operators: stage.operators.map(o => operators.get(o.id)!).filter(o => o.states.length > 0 || hasTimers(o)),
    }
  })
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  return { pipeline, checkpoint, createdAt, takenAt, takenFrom, bytes, keyGroups: shape.keyGroups, stages }
}

export interface StagePosition {
  readonly stage: string
  readonly source: string
  readonly split: string
  readonly position: SourcePosition | undefined
}

/** Where each source stands. Sources are the stages whose parallelism is that of their splits, and both are in the pipeline's order. */
export function positionsOf({
  shape,
  splits,
  subtasks,
}: Pick<SavepointManifest, 'shape' | 'splits' | 'subtasks'>): StagePosition[] {
  const { stages }: Shape = JSON.parse(shape)
  const sources = stages.map((stage, index) => ({ stage, index })).filter(({ stage }) => stage.parallelism === undefined)
  const names = Object.keys(splits)
  return sources.flatMap(({ stage, index }, i) =>
    subtasks
      .filter(s => s.stage === index)
      .map(({ shard, head }) => {
        const source = names[i] ?? stage.id
        return { stage: stage.id, source, split: splits[source]?.[shard] ?? `${shard}`, position: head.source }
      }),
  )
}

function emptyOperator({ id, type, states }: Shape['stages'][number]['operators'][number]): InspectedOperator {
  const names = states.map(text => stateOfText(text).name)
  const shown = states.filter((_, i) => !names.some(name => listBounds(name) === names[i]))
  const timers = { event: { count: 0, next: undefined }, processing: { count: 0, next: undefined } }
  return {
    operator: id,
    type,
    states: shown.map(declared => ({ state: stateOfText(declared).name, declared, keys: 0, entries: 0, bytes: 0, expiring: 0 })),
    timers,
  }
}

function hasTimers({ timers }: InspectedOperator): boolean {
  return timers.event.count + timers.processing.count > 0
}

/** `last`: of each state, the partition that its last entry was in. Those of one key come together. */
function add({ states, timers }: InspectedOperator, entry: SavepointEntry, last: Map<StateSize, string>): void {
  if (entry.kind === 'timer') {
    const size = timers[entry.domain]
    size.count++
    size.next = Math.min(size.next ?? entry.at, entry.at)
    return
  }
  const size = states.find(s => s.state === entry.state)!
  const key = JSON.stringify(entry.owner)
  if (last.get(size) !== key) size.keys++
  last.set(size, key)
  size.entries++
  size.bytes += entry.bytes
  if (entry.expiry !== undefined) size.expiring++
}
