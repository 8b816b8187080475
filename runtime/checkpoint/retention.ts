import type { Ports } from '../ports.ts'
import { decodeItem } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'
import type { Part } from './cut.ts'
import { readMarker } from './marker.ts'
import { manifestKey } from './steps.ts'

/** Manifests that stay. */
const MANIFESTS_KEPT = 3
const PAGE = 200

/**
 * What a complete checkpoint makes dispensable (protocol.md, E5 and C): the log below its cuts as far as it is materialised. The floor is raised first;
 * every barrier frame of this checkpoint has been accepted on every channel, or it would not be complete (C3).
 */
export async function retain(topology: Topology, checkpoint: number, parts: readonly Part[], ports: Ports): Promise<void> {
  for (const part of parts) await expireLog(part, ports)
  const old = checkpoint - MANIFESTS_KEPT
  if (old > 0) await ports.blobs.delete(manifestKey(topology.run, old))
}

async function expireLog(part: Part, ports: Ports): Promise<void> {
  const floor = Math.min(part.version, await readMarker(ports.store, part.log))
  const before = await ports.log.floor(part.log)
  if (floor <= before) return
  await ports.log.raiseFloor(part.log, floor)
  // From the very first: an earlier one may have died between raising the floor and this.
  for (let from = 1; from < floor; ) {
    const slots = await ports.log.range(part.log, from, Math.min(PAGE, floor - from))
    const below = slots.filter(s => s.version < floor)
    if (below.length === 0) break
    // Chunks of decided slots only (C5): what they hold is in the base.
    for (const { item } of below) {
      const slot = decodeItem(item)
      if (slot.kind !== 'commit') continue
      if (slot.chunk !== undefined && 'blob' in slot.chunk) await ports.blobs.delete(slot.chunk.blob)
      const { alignment } = slot.head
      if (alignment !== undefined && alignment.checkpoint < (part.item.head.alignment?.checkpoint ?? 0)) {
        for (const blob of alignment.channelState) await ports.blobs.delete(blob)
      }
    }
    const to = below.at(-1)!.version + 1
    await ports.log.expire(part.log, from, to)
    from = to
  }
}
