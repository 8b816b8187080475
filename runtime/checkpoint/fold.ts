import type { PhysicalStage } from '../graph/plan.ts'
import type { Shape } from '../graph/shape.ts'
import { stateOfText } from '../graph/state-text.ts'
import type { BaseItem } from '../ports.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { Topology } from '../stage/topology.ts'
import type { StateSpace } from '../state/address.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { ExpiryBounds } from './expired.ts'
import { foldedItems } from './folded-items.ts'
import { HeldChanges } from './held-changes.ts'
import type { Manifest, SubtaskSnapshot } from './manifest.ts'

/** Folded items handed over at a time; several commits' changes are folded before that, so that a hot key costs one write. */
const FOLD_ITEMS = 20_000
/** Of what was logged: large values are handed over sooner, as all of them are in memory. */
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

/** Takes what is folded. */
export interface Target {
  /** In order of address, through all calls up to `done`. */
  add(items: readonly FoldedItem[]): Promise<void>
  /** Of all commits up to `version` there is nothing that it has not been given. What comes then is newer, and begins at the first address again. */
  done(version: number): Promise<void>
}

/** Where the changes of a subtask belong: what is to be known of its operators, as chunks number them. */
export interface FoldSpace {
  readonly run: string
  readonly keyGroups: number
  readonly operators: readonly FoldedOperator[]
}

export interface FoldedOperator extends StateSpace {
  readonly states: readonly Pick<StateDeclaration, 'name' | 'primitive'>[]
  /** Its entries whose expiry is before this have expired as of the cut. Undefined: not known. */
  readonly expiredBefore?: number | undefined
}

/** `expired`: what was made among the changes and has expired by the cut is left out, as what was deleted is. */
export function spaceOf(topology: Topology, stage: PhysicalStage, subtask: number, expired?: ExpiryBounds): FoldSpace {
  const { run, plan } = topology
  const operators = keyedNodes(stage).map(({ operatorId, node }) => {
    return { run, operatorId, subtask, states: node.states, expiredBefore: expired?.get(operatorId) }
  })
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
 * The last change of each entry, so many at a time that more are `itemsMax`. `elide`: entries that were made and deleted again among these changes, or have expired since, leave nothing behind, if they are
 * handed over together.
 */
export async function fold(
  space: FoldSpace,
  elide: boolean,
  chunks: AsyncIterable<LoggedChunk>,
  target: Target,
  itemsMax = FOLD_ITEMS,
): Promise<void> {
  const held = new HeldChanges(space, elide)
  const handOver = async (version: number) => {
    for (const items of foldedItems(space, elide, held.take(), FOLD_ITEMS, FOLD_BYTES)) await target.add(items)
    await target.done(version)
  }
  let newest = 0
  for await (const { version, chunk } of chunks) {
    held.add(chunk, version)
    newest = version
    if (held.size >= itemsMax || held.bytes >= FOLD_BYTES) await handOver(version)
  }
  if (held.size > 0) await handOver(newest)
}
