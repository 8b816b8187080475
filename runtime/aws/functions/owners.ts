import type { CommitLog } from '../../ports.ts'
import { pack, unpack } from '../../state/codec.ts'
import type { KnownShard } from '../shards.ts'
import { subtaskOfShard } from './shard-hash.ts'

/** What is known of a shard's descent. */
export type ListedShard = Pick<KnownShard, 'id' | 'parents' | 'closed'>

/** Which subtask takes a shard's records. */
export interface Owners {
  /** Undefined: nobody has decided it yet, as far as is known here. */
  of(shard: string): number | undefined
  /** All whose owner is known here. */
  known(): string[]
  /** Learns what others have decided. */
  follow(): Promise<void>
  /** Decides it for all of these, or learns how it was decided. */
  decide(listed: readonly ListedShard[]): Promise<void>
}

/** One slot. A commit takes some 30 bytes for each. */
export type Decided = readonly (readonly [shard: string, subtask: number])[]
const SHARDS_MAX = 5_000
const PAGE = 500

const ownersLog = (run: string, source: string) => `${run}/sources/${source}/shards`

/** A run that begins with positions in these shards: their owners are decided before anybody asks, and be it that they are not listed any more. */
export async function inheritOwners(log: CommitLog, run: string, source: string, decided: Decided): Promise<void> {
  if (decided.length > 0) await log.putIfAbsent(ownersLog(run, source), 1, pack(decided))
}

/**
 * The owners of a source's shards. A split of the run is its own subtask's; a shard that came of others is of the lowest of their owners, so that what
 * is split stays together. The answer may never change: a record would be taken by two subtasks. But parents leave a stream's list with their last record. So each
 * answer is put, if absent, into a log of the run, and that is asked first.
 */
export function openOwners(log: CommitLog, run: string, source: string, splits: readonly string[]): Owners {
  const name = ownersLog(run, source)
  const owners = new Map(splits.map((split, i) => [split, i]))
  let slots = 0

  async function follow(): Promise<void> {
    for (;;) {
      const page = await log.range(name, slots + 1, PAGE)
      for (const { version, item } of page) {
        for (const [shard, subtask] of unpack<Decided>(item)) owners.set(shard, subtask)
        slots = version
      }
      if (page.length < PAGE) return
    }
  }

  /** Of those without an owner, older ones first: parents have lower numbers than their children. */
  function undecided(listed: readonly ListedShard[]): Decided {
    const found = new Map<string, number>()
    for (const { id, parents } of listed.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      if (owners.has(id) || found.size === SHARDS_MAX) continue
      const known = parents.flatMap(parent => owners.get(parent) ?? found.get(parent) ?? [])
      // Its parents went before anybody saw them: they had no record for as long as the stream keeps one.
      found.set(id, known.length === 0 ? subtaskOfShard(id, splits.length) : Math.min(...known))
    }
    return [...found]
  }

  return {
    of: shard => owners.get(shard),
    known: () => [...owners.keys()],
    follow,
    async decide(listed) {
      if (undecided(listed).length === 0) return
      for (;;) {
        await follow()
        const found = undecided(listed)
        if (found.length === 0) return
        await log.putIfAbsent(name, slots + 1, pack(found))
      }
    },
  }
}
