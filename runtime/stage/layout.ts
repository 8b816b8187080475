import { MillraceError } from '../errors.ts'
import { type KeyRange, keyRangeOf } from '../graph/key-ranges.ts'

/** One shard of a stage's stream, and so one subtask. */
export interface Shard extends KeyRange {
  /** Its number, which no other shard of the stage ever has. */
  readonly shard: number
  /** Those that it took over from; none: it was there from the beginning. */
  readonly parents: readonly number[]
  /** Those that took over from it; undefined: it is open. */
  readonly children: readonly number[] | undefined
  /** It was closed before its run began: nothing of the run lies in it. */
  readonly unused?: boolean
}

/** All shards that a stage has ever had, each at the place of its number. Open ones cover every key group once. */
export type Layout = readonly Shard[]

/** Producers' numbers and those of shards share 32 bits. */
export const SHARDS_MAX = 2 ** 16

export function firstLayout(parallelism: number, groups: number): Layout {
  return Array.from({ length: parallelism }, (_, shard) => ({
    shard,
    ...keyRangeOf(shard, groups, parallelism),
    parents: [],
    children: undefined,
  }))
}

/** Where each of `parallelism` even ranges begins. */
export function evenStarts(parallelism: number, groups: number): number[] {
  return Array.from({ length: parallelism }, (_, shard) => keyRangeOf(shard, groups, parallelism).from)
}

/** Whether a shard ever had key groups: on AWS, one that was closed before anybody sent to it had none. */
export function isSubtask({ children }: Shard): boolean {
  return children === undefined || children.length > 0
}

/** In order of their key groups. */
export function openShards(layout: Layout): Shard[] {
  return layout.filter(s => s.children === undefined).sort((a, b) => a.from - b.from || a.shard - b.shard)
}

/**
 * The layout with open shards that begin at `starts`. A shard whose range stays as it was goes on; the others are closed, and each new one takes over from all whose key groups it
 * gets. Undefined: nothing changes.
 */
export function relaid(layout: Layout, starts: readonly number[], groups: number): Layout | undefined {
  const open = openShards(layout)
  const wanted = starts.map((from, i) => ({ from, to: starts[i + 1] ?? groups }))
  if (starts[0] !== 0 || wanted.some(({ from, to }) => from >= to))
    throw new MillraceError(
      `shards can't begin at key groups ${starts.join(', ')} of ${groups}: from 0, and each behind the one before`,
    )
  const made = wanted.filter(w => !open.some(s => s.from === w.from && s.to === w.to))
  if (made.length === 0) return undefined
  if (layout.length + made.length > SHARDS_MAX)
    throw new MillraceError(`a stage can have ${SHARDS_MAX} shards in the life of a run: start a new run from a savepoint`)
  const kept = open.filter(s => wanted.some(w => w.from === s.from && w.to === s.to))
  const added = made.map((range, i): Shard => {
    const parents = open.filter(s => !kept.includes(s) && overlap(s, range)).map(s => s.shard)
    return { shard: layout.length + i, ...range, parents, children: undefined }
  })
  const closed = layout.map(s => {
    const children = added.filter(a => a.parents.includes(s.shard)).map(a => a.shard)
    return children.length === 0 ? s : { ...s, children }
  })
  return [...closed, ...added]
}

export function overlap(a: KeyRange, b: KeyRange): boolean {
  return a.from < b.to && b.from < a.to
}
