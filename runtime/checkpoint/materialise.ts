import { keyGroup } from '../graph/key.ts'
import type { BaseItem, KeyedStore, Ports } from '../ports.ts'
import { BrokenLogError } from '../protocol/errors.ts'
import { decodeItem } from '../protocol/item.ts'
import { joinAddress } from '../snapshot/item.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import { readChunk } from '../stage/live.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { mapAddress, type StateSpace, timerSk, timersPk, valueAddress } from '../state/address.ts'
import { type Change, forEachChange } from '../state/changelog.ts'
import { pack } from '../state/codec.ts'
import { claimFold } from './claims.ts'
import { writeMarker } from './marker.ts'

const PAGE = 200
/** Folded items written at a time; several commits' changes are folded before that, so that a hot key costs one write. */
const FOLD_ITEMS = 20_000

export interface Materialised {
  readonly from: number
  readonly to: number
  readonly items: number
  readonly bytes: number
  /** Partitions that got tombstones, which `sweepTombstones` removes once nobody can hold an older value any more (E4). */
  readonly tombstones: ReadonlySet<string>
}

/** Takes folded items, in order of address. */
type Target = (items: readonly FoldedItem[]) => Promise<void>

export interface MaterialiseOptions {
  /** Others may have died, but no other fold of this log is alive: one process has the directory, and does one at a time. */
  readonly exclusive?: boolean
  readonly snapshot?: { readonly since: number; readonly take: Target }
}

/**
 * Folds a subtask's log from the materialised marker to `cut` into base items, away from the processing path (protocol.md, E3).
 * Idempotent: items carry their version, and the marker is written last. `snapshot`: what was changed behind `since` goes there as well.
 *
 * An entry that was made and deleted again within the fold leaves nothing behind, unless a fold to another cut has begun before,
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
  { exclusive = false, snapshot }: MaterialiseOptions = {},
): Promise<Materialised> {
  const log = topology.log(at.stage.index, shard)
  const { from, alone } = await claimFold(ports.store, log, cut, exclusive)
  let items = 0
  let bytes = 0
  const tombstones = new Set<string>()
  const toBase: Target = async folded => {
    items += folded.length
    for (const { item } of folded) {
      if (item.value === undefined) tombstones.add(item.pk)
      else bytes += item.value.length
    }
    await ports.store.upsert(folded.map(f => f.item))
  }
  const fold = (since: number, elide: boolean, take: Target) => foldLog(topology, at, shard, { since, cut, elide }, ports, take)
  if (snapshot?.since === from) {
    await fold(from, alone, async folded => {
      await toBase(folded)
      await snapshot.take(folded)
    })
  } else {
    // The base may be ahead of the cut (it was folded to relieve memory), or of the last snapshot (a checkpoint failed): each its own way then,
    // for what the base has seen and swept may not be brought back.
    await fold(from, alone, toBase)
    // Of a segment there is one writer.
    if (snapshot !== undefined) await fold(snapshot.since, true, snapshot.take)
  }
  if (cut > from) await writeMarker(ports.store, log, cut)
  return { from, to: cut, items, bytes, tombstones }
}

async function foldLog(
  topology: Topology,
  at: StageTopology,
  shard: number,
  { since, cut, elide }: { readonly since: number; readonly cut: number; readonly elide: boolean },
  ports: Ports,
  take: Target,
): Promise<void> {
  const log = topology.log(at.stage.index, shard)
  const fold = new Fold(topology, at, shard, elide)
  for (let version = since; version < cut; ) {
    const slots = await ports.log.range(log, version + 1, Math.min(PAGE, cut - version))
    for (const slot of slots) {
      if (slot.version !== version + 1)
        throw new BrokenLogError(`slot ${version + 1} of ${log} is missing though it was never materialised`)
      version = slot.version
      const item = decodeItem(slot.item)
      const chunk = item.kind === 'commit' ? await readChunk(ports, item) : undefined
      if (chunk !== undefined) fold.add(chunk, version)
      if (fold.size >= FOLD_ITEMS) await take(fold.take())
    }
    if (slots.length === 0) throw new BrokenLogError(`slot ${version + 1} of ${log} is missing though the cut lies behind it`)
  }
  if (fold.size > 0) await take(fold.take())
}

/** A base item with its address as one string (snapshot/item.ts). */
export interface FoldedItem {
  readonly address: string
  readonly item: BaseItem
  /** There was none before this fold. */
  readonly created: boolean
}

/** The last change of each entry. */
class Fold {
  private items = new Map<string, FoldedItem>()
  private readonly nodes
  private readonly spaces: StateSpace[]
  private readonly keyGroups: number
  private readonly elide: boolean

  constructor(topology: Topology, at: StageTopology, shard: number, elide: boolean) {
    this.elide = elide
    this.nodes = keyedNodes(at.stage)
    this.spaces = this.nodes.map(n => ({ run: topology.run, operatorId: n.operatorId, subtask: shard }))
    this.keyGroups = topology.plan.options.keyGroups
  }

  get size(): number {
    return this.items.size
  }

  add(chunk: Uint8Array, v: number): void {
    forEachChange(chunk, change => {
      const item = typeof change.state === 'string' ? this.timer(change, change.state, v) : this.state(change, change.state, v)
      const address = joinAddress(item.pk, item.sk)
      const known = this.items.get(address)
      const created = known === undefined ? change.created : known.created
      if (this.elide && created && !change.written) this.items.delete(address)
      else this.items.set(address, { address, item, created })
    })
  }

  /** In order of address: an embedded store writes sorted items several times as fast, and segments are sorted. */
  take(): FoldedItem[] {
    const items = [...this.items.values()]
    items.sort((a, b) => (a.address < b.address ? -1 : 1))
    this.items = new Map()
    return items
  }

  private timer(c: Change, domain: 'event' | 'processing', v: number): BaseItem {
    const space = this.spaces[c.operator]!
    const pk = timersPk(space, keyGroup(c.key, this.keyGroups))
    const sk = timerSk(domain, c.timestamp, c.key, c.value)
    return { pk, sk, v, value: c.written ? pack([c.timestamp, c.key, c.value]) : undefined }
  }

  private state(c: Change, index: number, v: number): BaseItem {
    const space = this.spaces[c.operator]!
    const declaration = this.nodes[c.operator]!.node.states[index]!
    const isMap = declaration.primitive === 'map'
    const address = isMap ? mapAddress(space, c.key, declaration, c.value.k) : valueAddress(space, c.key, declaration)
    const value = c.written ? pack(isMap ? c.value.v : c.value) : undefined
    return declaration.ttl === undefined ? { ...address, v, value } : { ...address, v, value, expiry: c.timestamp }
  }
}

/**
 * Removes the tombstones that a fold up to version `to` wrote. Only when no older materialiser or view of this subtask can be alive (E4): the
 * embedded engine, which alone has the directory, does it one checkpoint later.
 */
export async function sweepTombstones(store: KeyedStore, { tombstones, to }: Materialised): Promise<void> {
  // Values are not swept here: their expiry is by the event clock of their operator, which has no single `now`.
  for (const pk of tombstones) await store.sweep(pk, to, Number.NEGATIVE_INFINITY)
}
