import type { KeyedStore } from '../ports.ts'
import type { FrameHeader } from '../protocol/frame.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { entryPk, fromSortable, isOf, mapPrefix } from '../state/address.ts'
import { AFTER_ALL } from '../state/base.ts'
import { BROADCAST_KEY } from '../state/broadcast.ts'
import { type CreatedEntry, encodeCreated } from '../state/changelog.ts'
import { tagIn, unpack } from '../state/codec.ts'

const PAGE = 1000

/**
 * A subtask's copies of broadcast state, as the state changes with which another one begins that takes over from it. `parent`: its log has ended, and all of it is in the table. Undefined: it has none.
 */
export async function broadcastOf(
  topology: Topology,
  at: StageTopology,
  parent: number,
  store: KeyedStore,
  header: FrameHeader,
): Promise<Uint8Array | undefined> {
  const entries: CreatedEntry[] = []
  for (const [operator, { operatorId, node }] of keyedNodes(at.stage).entries()) {
    const pk = entryPk({ run: topology.run, operatorId, subtask: parent }, BROADCAST_KEY)
    for (let from = ''; ; ) {
      const items = await store.range(pk, from, AFTER_ALL, PAGE)
      for (const { sk, value, expiry } of items) {
        const state = node.states.findIndex(s => isOf(s, sk))
        if (value === undefined || state < 0) continue
        const declared = node.states[state]!
        const subkey = declared.primitive === 'map' ? fromSortable(sk.slice(mapPrefix(declared).length)) : undefined
        entries.push({
          operator,
          state,
          key: BROADCAST_KEY,
          subkey,
          value: unpack(value),
          tag: tagIn(value),
          timestamp: expiry ?? 0,
        })
      }
      if (items.length < PAGE) break
      from = `${items.at(-1)!.sk}\0`
    }
  }
  return encodeCreated(entries, header)
}
