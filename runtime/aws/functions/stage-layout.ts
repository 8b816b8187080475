import type { KeyRange } from '../../graph/key-ranges.ts'
import { type Layout, openShards, overlap, SHARDS_MAX, type Shard } from '../../stage/layout.ts'
import { StageStreamSplitError } from '../errors.ts'
import { parseShard } from '../position.ts'
import type { KnownShard } from '../shards.ts'

/** A shard of a stage's stream, as Kinesis has it now. */
export type RangedShard = Omit<KnownShard, 'parents'>

/** Of shards that a run can't have. */
export const REMEDY =
  'when the stage has read what lies in it, switch its mapping off, delete the stream, make it anew with its name and a shard for each subtask, and switch the mapping on'

/** Hash keys of Kinesis are below this. */
const HASH_KEYS = 1n << 128n
/** Where Kinesis divides its hash keys by a number of shards, it rounds: nobody splits a shard so near to the border of a key group. */
const ROUNDING = 1n << 64n

/**
 * The first key group that begins at a hash key or behind it: of n groups, group i begins at i / n of all hash keys. So a stream of even shards has the key groups that as many subtasks have when a run begins,
 * and wherever a shard is split, its children have its key groups between them.
 */
export function groupAt(hashKey: bigint, groups: number): number {
  const from = hashKey - ROUNDING
  return from <= 0n ? 0 : Number((from * BigInt(groups) + HASH_KEYS - 1n) / HASH_KEYS)
}

/**
 * Whether a list leaves out shards that were made before one that it has. Kinesis has forgotten them, or tells of them a moment later than of others: such a list says nothing yet, until another one some time later says
 * the same.
 */
export function hasGaps(listed: readonly RangedShard[], known: Layout): boolean {
  const later = listed.map(({ id }) => parseShard(id)).filter(shard => shard >= known.length)
  return later.some(shard => shard >= known.length + later.length)
}

/**
 * What has become of a stage's shards: those that are open now take over from those that were, by their key groups. What came and went in between, and nobody knew, can have no frame of a commit (protocol.md, F1):
 * it is a shard without key groups that was closed from the beginning. Undefined: nothing new, or the list is of a moment at which the stream is being changed.
 * @throws StageStreamSplitError for shards that can't be subtasks of this run
 */
export function layoutOf(listed: readonly RangedShard[], known: Layout, groups: number, stage: string): Layout | undefined {
  if (!coversAll(listed)) return undefined
  const open = listed.filter(({ closed }) => !closed).map(shard => ranged(shard, groups))
  const added = open.filter(({ shard }) => shard >= known.length)
  const kept = open.filter(({ shard }) => shard < known.length)
  if (kept.some(({ shard }) => known[shard]!.children !== undefined)) return undefined // older than what is known
  if (open.some(({ shard }) => shard >= SHARDS_MAX))
    throw new StageStreamSplitError(stage, `it has had ${SHARDS_MAX} shards in its life, and can't have more`, REMEDY)
  check(kept, added, known, stage)
  if (added.length === 0) return undefined
  const closed = openShards(known).filter(({ shard }) => !kept.some(k => k.shard === shard))
  const layout: Shard[] = [...known]
  for (const { shard, from, to } of added) {
    while (layout.length < shard) layout.push({ shard: layout.length, from: 0, to: 0, parents: [], children: [] })
    const parents = closed.filter(c => overlap(c, { from, to })).map(c => c.shard)
    layout.push({ shard, from, to, parents, children: undefined })
    for (const parent of parents) layout[parent] = { ...layout[parent]!, children: [...(layout[parent]!.children ?? []), shard] }
  }
  return layout
}

interface Ranged extends KeyRange {
  readonly shard: number
}

function ranged({ id, hashKey, lastHashKey }: RangedShard, groups: number): Ranged {
  const [first, last] = [BigInt(hashKey), BigInt(lastHashKey)]
  return { shard: parseShard(id), from: groupAt(first, groups), to: groupAt(last + 1n, groups) }
}

/** Between a split and the answers that tell of it, the open shards of a list may be too many, or too few. */
export function coversAll(listed: readonly RangedShard[]): boolean {
  const open = listed.filter(({ closed }) => !closed).map(s => ({ first: BigInt(s.hashKey), last: BigInt(s.lastHashKey) }))
  let next = 0n
  for (const { first, last } of open.toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
    if (first !== next) return false
    next = last + 1n
  }
  return next === HASH_KEYS
}

function check(kept: readonly Ranged[], added: readonly Ranged[], known: Layout, stage: string): void {
  const other = kept.find(({ shard, from, to }) => known[shard]!.from !== from || known[shard]!.to !== to)
  if (other !== undefined)
    throw new StageStreamSplitError(
      stage,
      `shard ${other.shard} has key groups ${other.from} to ${other.to}, where this run has ${known[other.shard]!.from} to ${known[other.shard]!.to}`,
      REMEDY,
    )
  const empty = added.find(({ from, to }) => from >= to)
  if (empty !== undefined)
    throw new StageStreamSplitError(
      stage,
      `shard ${empty.shard} is so small that no key group is left for it`,
      'merge it with its neighbour',
    )
}
