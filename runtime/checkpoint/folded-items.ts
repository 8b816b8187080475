import { guarded } from '../graph/guarded.ts'
import { isLong, type KeyPart, keyGroup } from '../graph/key.ts'
import type { BaseItem } from '../ports.ts'
import { joinAddress, splitAddress } from '../snapshot/item.ts'
import { entryPk, mapPrefix, sortable, timerSk, timersPk, valueSk } from '../state/address.ts'
import { pack, tagged } from '../state/codec.ts'
import { SmallMap } from '../state/small-map.ts'
import type { FoldedItem, FoldSpace } from './fold.ts'
import { type Domain, type Held, type HeldKey, type HeldKeys, type HeldTimers, timersAt } from './held-changes.ts'

interface HeldTimer {
  readonly domain: Domain
  readonly at: number
  readonly key: KeyPart
  readonly tag: KeyPart
  readonly held: Held
}

/** Items of one `pk`, which are one behind the other in order of address: the state of a key, or the timers of a group. */
interface Partition {
  /** What their addresses begin with: all that is kept of `pk`, as there may be very many. */
  readonly prefix: string
  readonly operator: number
  readonly content: { readonly key: KeyPart; readonly held: HeldKey } | { readonly timers: readonly HeldTimer[] }
}

/**
 * What is held as items, in order of address (an embedded store writes sorted items several times as fast, and segments are sorted), in slices of so many items, or bytes of their values: an item takes
 * several times the memory of what it is made of.
 */
export function* foldedItems(
  space: FoldSpace,
  elide: boolean,
  keys: HeldKeys,
  itemsMax: number,
  bytesMax: number,
): Generator<readonly FoldedItem[]> {
  let slice: FoldedItem[] = []
  let bytes = 0
  for (const partition of partitionsOf(space, keys)) {
    const { content } = partition
    const items =
      'timers' in content ? timerItems(space, partition, content.timers) : stateItems(space, elide, partition, content)
    if (items.length > 1) items.sort((a, b) => (a.address < b.address ? -1 : 1))
    for (const folded of items) {
      slice.push(folded)
      bytes += folded.item.value?.length ?? 0
      if (slice.length < itemsMax && bytes < bytesMax) continue
      yield slice
      slice = []
      bytes = 0
    }
  }
  if (slice.length > 0) yield slice
}

function partitionsOf({ keyGroups, operators }: FoldSpace, keys: HeldKeys): Partition[] {
  const all: Partition[] = []
  const add = (operator: number, pk: string, content: Partition['content']) =>
    all.push({ prefix: joinAddress(pk, ''), operator, content })
  operators.forEach((space, operator) => {
    const groups = new Map<number, HeldTimer[]>()
    for (const [key, held] of keys[operator]!) {
      add(operator, entryPk(space, key), { key, held })
      const timers = timersOf(key, held, space.states)
      if (timers.length === 0) continue
      const group = keyGroup(key, keyGroups)
      const others = groups.get(group)
      if (others === undefined) groups.set(group, timers)
      else for (const timer of timers) others.push(timer)
    }
    for (const [group, timers] of groups) add(operator, timersPk(space, group), { timers })
  })
  return all.sort((a, b) => (a.prefix < b.prefix ? -1 : 1))
}

function timersOf(key: KeyPart, held: HeldKey, states: readonly unknown[]): HeldTimer[] {
  const all: HeldTimer[] = []
  for (const domain of ['event', 'processing'] as const) {
    const times = held[timersAt(states, domain)] as HeldTimers | undefined
    for (const [at, tags] of times ?? [])
      for (const [tag, timer] of tags) all.push({ domain, at: at as number, key, tag, held: timer })
  }
  return all
}

function stateItems(
  { keyGroups, operators }: FoldSpace,
  elide: boolean,
  { prefix, operator }: Partition,
  { key, held }: { readonly key: KeyPart; readonly held: HeldKey },
): FoldedItem[] {
  const items: FoldedItem[] = []
  const { pk } = splitAddress(prefix)
  const group = isLong(key) ? keyGroup(key, keyGroups) : undefined
  const { states, expiredBefore = Number.NEGATIVE_INFINITY } = operators[operator]!
  const add = (sk: string, { value, tag, written, created, expiry, v }: Held) => {
    if (elide && created && expiry !== 0 && expiry < expiredBefore) return
    const packed = written ? pack(value) : undefined
    const stored = packed === undefined || tag === undefined ? packed : tagged(tag, packed)
    const item: BaseItem = expiry === 0 ? { pk, sk, v, value: stored } : { pk, sk, v, value: stored, expiry }
    items.push({ address: `${prefix}${guarded(sk)}`, item, created, group })
  }
  states.forEach((state, index) => {
    const slot = held[index] as Held | SmallMap<Held> | undefined
    if (slot instanceof SmallMap) for (const [subkey, entry] of slot) add(`${mapPrefix(state)}${sortable(subkey)}`, entry)
    else if (slot !== undefined) add(valueSk(state), slot)
  })
  return items
}

function timerItems({ keyGroups }: FoldSpace, { prefix }: Partition, timers: readonly HeldTimer[]): FoldedItem[] {
  const { pk } = splitAddress(prefix)
  return timers.map(({ domain, at, key, tag, held: { written, created, v } }) => {
    const sk = timerSk(domain, at, key, tag)
    const item = { pk, sk, v, value: written ? pack([at, key, tag]) : undefined }
    return { address: `${prefix}${guarded(sk)}`, item, created, group: isLong(key) ? keyGroup(key, keyGroups) : undefined }
  })
}
