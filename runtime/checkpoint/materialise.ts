import { atOnce } from '../connectors/at-once.ts'
import type { KeyedStore, Ports } from '../ports.ts'
import { BrokenLogError } from '../protocol/errors.ts'
import { decodeItem } from '../protocol/item.ts'
import type { ReadCommit } from '../protocol/log.ts'
import { readChunks } from '../stage/live.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { claimFold } from './claims.ts'
import type { ExpiryBounds } from './expired.ts'
import { fold, type LoggedChunk, spaceOf, type Target } from './fold.ts'
import { writeMarker } from './marker.ts'

const PAGE = 200
const SWEPT_AT_ONCE = 32

export interface Materialised {
  readonly from: number
  readonly to: number
  readonly items: number
  readonly bytes: number
  /** Partitions that got tombstones, which `sweepTombstones` removes once nobody can hold an older value any more (E4). Of an exclusive fold none are left. */
  readonly tombstones: ReadonlySet<string>
  /** Partitions with entries that have left the runs of the snapshot since they had expired before this time: they go from the base in the same way. */
  readonly expired?: ReadonlyMap<string, number>
}

/** What a fold is also to give besides base items: the changes behind `since`, a version. */
export interface SnapshotFold {
  readonly since: number
  /** Those changes, if the log may not have all of them any more. */
  readonly changes: () => AsyncIterable<LoggedChunk>
  readonly target: Target
}

export interface MaterialiseOptions {
  /**
   * Others may have died, but no other fold of this log is alive, nor a view that is older than the cut: one process has the directory, and does one at a time. What it deletes leaves no tombstone then.
   */
  readonly exclusive?: boolean
  readonly snapshot?: SnapshotFold
  /** Entries that are held until they are written: what comes and goes among so many is never written. */
  readonly itemsMax?: number
  /** As of the cut. Default: nothing has expired. */
  readonly expired?: ExpiryBounds
}

/**
 * Folds a subtask's log from the materialised marker to `cut` into base items, away from the processing path (protocol.md, E3).
 * Idempotent: items carry their version, and the marker follows behind what is written: one that takes longer than it may goes on from there when it is called again.
 * `snapshot`: what was changed behind its `since` goes there as well.
 *
 * An entry that was made and deleted again within the fold, or has expired by its cut, leaves nothing behind, unless a fold to another cut has begun before,
 * which may have written it, or may yet: its claim tells (E4).
 *
 * @throws SupersededFoldError when a later checkpoint's fold has begun, unless exclusive
 */
export async function materialise(
  topology: Topology,
  at: StageTopology,
  shard: number,
  cut: number,
  ports: Ports,
  { exclusive = false, snapshot, itemsMax, expired }: MaterialiseOptions = {},
): Promise<Materialised> {
  const log = topology.log(at.stage.index, shard)
  const { from, alone } = await claimFold(ports.store, log, cut, exclusive)
  let items = 0
  let bytes = 0
  const tombstones = new Set<string>()
  const toBase: Target = {
    async add(folded) {
      items += folded.length
      for (const { item } of folded) {
        if (item.value === undefined) tombstones.add(item.pk)
        else bytes += item.value.length
      }
      await ports.store.upsert(folded.map(f => f.item))
    },
    async done(version) {
      if (version < cut) await mark(version)
    },
  }
  // Nobody can hold an older value (E4). In front of the marker: where this dies, the fold that goes on writes them again, and sweeps them.
  const sweepOwn = async () => {
    await sweepTombstones(ports.store, { tombstones, to: cut })
    tombstones.clear()
  }
  const mark = async (version: number) => {
    if (exclusive) await sweepOwn()
    await writeMarker(ports.store, log, version)
  }
  const space = spaceOf(topology, at.stage, shard, expired)
  const toFold = space.operators.length === 0 ? none() : loggedChunks(ports, log, from, cut)
  if (snapshot?.since === from) {
    const { target } = snapshot
    const toBoth: Target = {
      async add(folded) {
        await toBase.add(folded)
        await target.add(folded)
      },
      async done(version) {
        await toBase.done(version)
        await target.done(version)
      },
    }
    await fold(space, alone, toFold, toBoth, itemsMax)
  } else {
    // The base may be ahead of the cut (it was folded to relieve memory), or of the last snapshot (a checkpoint failed): each its own way then,
    // for what the base has seen and swept may not be brought back.
    await fold(space, alone, toFold, toBase, itemsMax)
    // Of a segment there is one writer.
    // And what has expired since the base got it has to come to the runs: it goes from the base when it leaves them.
    if (snapshot !== undefined)
      await fold(spaceOf(topology, at.stage, shard), true, snapshot.changes(), snapshot.target, itemsMax)
  }
  if (cut > from) await mark(cut)
  return { from, to: cut, items, bytes, tombstones }
}

async function* none(): AsyncGenerator<never> {}

/** The state changes of a log's commits with since < version <= cut, in order. */
export async function* loggedChunks(ports: Ports, log: string, since: number, cut: number): AsyncGenerator<LoggedChunk> {
  for (let version = since; version < cut; ) {
    const slots = await ports.log.range(log, version + 1, Math.min(PAGE, cut - version))
    const commits: ReadCommit[] = []
    for (const slot of slots) {
      if (slot.version !== version + 1)
        throw new BrokenLogError(`slot ${version + 1} of ${log} is missing though it was never materialised`)
      version = slot.version
      const item = decodeItem(slot.item)
      if (item.kind !== 'abort') commits.push({ version, item })
    }
    yield* readChunks(ports, commits)
    if (slots.length === 0) throw new BrokenLogError(`slot ${version + 1} of ${log} is missing though the cut lies behind it`)
  }
}

/** Removes the tombstones that a fold up to version `to` wrote, and what had expired. Only when no older materialiser or view of this subtask can be alive (E4). */
export async function sweepTombstones(
  store: KeyedStore,
  { tombstones, expired = new Map(), to }: Pick<Materialised, 'tombstones' | 'expired' | 'to'>,
): Promise<void> {
  // The expiry of values is by the clock of their operator; tombstones alone need none.
  await atOnce(SWEPT_AT_ONCE, [...tombstones], pk => store.sweep(pk, to, Number.NEGATIVE_INFINITY))
  await atOnce(SWEPT_AT_ONCE, [...expired], ([pk, before]) => store.sweep(pk, to, before))
}
