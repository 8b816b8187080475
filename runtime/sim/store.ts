import type { BaseItem, KeyedStore } from '../ports.ts'
import { copyBytes } from './bytes.ts'
import type { Services } from './ports.ts'
import type { Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'
import { compareUtf8 } from './utf8.ts'

export interface StoredItem extends BaseItem {
  /** Ms of virtual time. */
  readonly writtenAt: number
}

/** Base items by `pk` and `sk`. */
export type StateTable = Map<string, Map<string, StoredItem>>

/** DynamoDB, as a keyed store: strong reads, and writes of many items, each of which is written by itself. */
export function simStore(
  { dice, scheduler }: Simulation,
  services: Pick<Services, 'state' | 'onSweep'>,
  { call }: Pick<Sandbox, 'call'>,
): KeyedStore {
  const table = services.state

  function write(item: BaseItem): void {
    const items = table.get(item.pk) ?? new Map<string, StoredItem>()
    table.set(item.pk, items)
    const known = items.get(item.sk)
    if (known === undefined || known.v < item.v)
      items.set(item.sk, { ...item, value: copyBytes(item.value), writtenAt: scheduler.now })
  }

  return {
    batchGet: addresses =>
      call({
        name: `store.batchGet ${addresses.length} ${addresses[0]?.pk}`,
        apply: () => addresses.map(({ pk, sk }) => copied(table.get(pk)?.get(sk))),
      }),
    range: (pk, from, to, limit) =>
      call({
        name: `store.range ${pk}`,
        apply: () =>
          [...(table.get(pk)?.values() ?? [])]
            .filter(({ sk }) => compareUtf8(sk, from) >= 0 && compareUtf8(sk, to) < 0)
            .sort((a, b) => compareUtf8(a.sk, b.sk))
            .slice(0, limit)
            .map(item => copied(item)!),
      }),
    upsert(items) {
      const apply = () => items.forEach(write)
      const applyInPart = () => {
        for (const item of items) if (dice.chance(0.5)) write(item)
      }
      return call({
        name: `store.upsert ${items.map(i => `${i.pk} ${i.sk} ${i.v}`).slice(0, 3)}`,
        isWrite: true,
        mayDouble: true,
        apply,
        applyInPart,
      })
    },
    sweep(pk, v, now) {
      const sweep = (of: () => boolean) => {
        const items = table.get(pk)
        for (const [sk, item] of items ?? [])
          if (item.v <= v && (item.value === undefined || (item.expiry !== undefined && item.expiry < now)) && of()) {
            services.onSweep?.(item, scheduler.now)
            items!.delete(sk)
          }
      }
      const apply = () => sweep(() => true)
      const applyInPart = () => sweep(() => dice.chance(0.5))
      return call({ name: `store.sweep ${pk} ${v}`, isWrite: true, mayDouble: true, apply, applyInPart })
    },
  }
}

function copied(stored: StoredItem | undefined): BaseItem | undefined {
  if (stored === undefined) return undefined
  const { writtenAt: _, ...item } = stored
  return { ...item, value: copyBytes(item.value) }
}
