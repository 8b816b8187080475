import { isLong, keyGroup } from '../graph/key.ts'
import type { PhysicalStage } from '../graph/plan.ts'
import type { Shape } from '../graph/shape.ts'
import { stateOfText } from '../graph/state-text.ts'
import type { BaseItem } from '../ports.ts'
import { joinAddress } from '../snapshot/item.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { Topology } from '../stage/topology.ts'
import { mapAddress, type StateSpace, timerSk, timersPk, valueAddress } from '../state/address.ts'
import { type Change, forEachChange } from '../state/changelog.ts'
import { pack, tagged } from '../state/codec.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { Manifest, SubtaskSnapshot } from './manifest.ts'

/** Folded items handed over at a time; several commits' changes are folded before that, so that a hot key costs one write. */
const FOLD_ITEMS = 20_000
/** Of their values: large ones are handed over sooner, as all of them are in memory. */
const FOLD_BYTES = 64 * 1024 * 1024

/** The changes of one commit, or of several, one behind the other. */
export interface LoggedChunk {
  /** Of the newest commit that is in it. */
  readonly version: number
  readonly chunk: Uint8Array
}

/** A base item with its address as one string (snapshot/item.ts). */
export interface FoldedItem {
  readonly address: string
  readonly item: BaseItem
  /** There was none before this fold. */
  readonly created: boolean
  /** See SnapshotItem. */
  readonly group: number | undefined
}

/** Takes folded items, in order of address. Of all commits up to `version` there is nothing that it has not been given then. */
export type Target = (items: readonly FoldedItem[], version: number) => Promise<void>

/** Where the changes of a subtask belong: what is to be known of its operators, as chunks number them. */
export interface FoldSpace {
  readonly run: string
  readonly keyGroups: number
  readonly operators: readonly (StateSpace & { readonly states: readonly Pick<StateDeclaration, 'name' | 'primitive'>[] })[]
}

export function spaceOf(topology: Topology, stage: PhysicalStage, subtask: number): FoldSpace {
  const { run, plan } = topology
  const operators = keyedNodes(stage).map(({ operatorId, node }) => ({ run, operatorId, subtask, states: node.states }))
  return { run, keyGroups: plan.options.keyGroups, operators }
}

/** The same from what a manifest says itself. */
export function spaceIn({ shape, run }: Manifest, { stage, shard, keyed = [] }: SubtaskSnapshot): FoldSpace {
  const { keyGroups, stages }: Shape = JSON.parse(shape)
  const operators = keyed.map(operatorId => {
    const states = stages[stage]!.operators.find(o => o.id === operatorId)!.states.map(stateOfText)
    return { run, operatorId, subtask: shard, states }
  })
  return { run, keyGroups, operators }
}

/**
 * The last change of each entry, so many at a time that more are `itemsMax`. `elide`: entries that were made and deleted again among these changes leave nothing behind, if they are
 * handed over together.
 */
export async function fold(
  space: FoldSpace,
  elide: boolean,
  chunks: AsyncIterable<LoggedChunk>,
  take: Target,
  itemsMax = FOLD_ITEMS,
): Promise<void> {
  const folded = new Fold(space, elide)
  let newest = 0
  for await (const { version, chunk } of chunks) {
    folded.add(chunk, version)
    newest = version
    if (folded.size >= itemsMax || folded.bytes >= FOLD_BYTES) await take(folded.take(), version)
  }
  if (folded.size > 0) await take(folded.take(), newest)
}

class Fold {
  private items = new Map<string, FoldedItem>()
  /** Of the values of `items`. */
  bytes = 0
  private readonly space: FoldSpace
  private readonly elide: boolean

  constructor(space: FoldSpace, elide: boolean) {
    this.space = space
    this.elide = elide
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
      this.bytes -= known?.item.value?.length ?? 0
      if (this.elide && created && !change.written) this.items.delete(address)
      else {
        const group = isLong(change.key) ? keyGroup(change.key, this.space.keyGroups) : undefined
        this.items.set(address, { address, item, created, group })
        this.bytes += item.value?.length ?? 0
      }
    })
  }

  /** In order of address: an embedded store writes sorted items several times as fast, and segments are sorted. */
  take(): FoldedItem[] {
    const items = [...this.items.values()]
    items.sort((a, b) => (a.address < b.address ? -1 : 1))
    this.items = new Map()
    this.bytes = 0
    return items
  }

  private timer(c: Change, domain: 'event' | 'processing', v: number): BaseItem {
    const { keyGroups, operators } = this.space
    const pk = timersPk(operators[c.operator]!, keyGroup(c.key, keyGroups))
    const sk = timerSk(domain, c.timestamp, c.key, c.value)
    return { pk, sk, v, value: c.written ? pack([c.timestamp, c.key, c.value]) : undefined }
  }

  private state(c: Change, index: number, v: number): BaseItem {
    const operator = this.space.operators[c.operator]!
    const state = operator.states[index]!
    const isMap = state.primitive === 'map'
    const address = isMap ? mapAddress(operator, c.key, state, c.value.k) : valueAddress(operator, c.key, state)
    const packed = c.written ? pack(isMap ? c.value.v : c.value) : undefined
    const value = packed === undefined || c.tag === undefined ? packed : tagged(c.tag, packed)
    // 0: it never expires.
    return c.timestamp === 0 ? { ...address, v, value } : { ...address, v, value, expiry: c.timestamp }
  }
}
