import type { PhysicalStage } from '../graph/plan.ts'
import type { HeadFields } from '../protocol/item.ts'
import { type SnapshotItem, splitAddress } from '../snapshot/item.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import { operatorOf } from '../state/address.ts'

/** Beyond what clocks differ by, and what an attempt may take. */
const CLOCK_MS = 3_600_000

/** Entries of a partition whose expiry is before `before` have expired for whoever comes after a cut. */
export interface Expired {
  readonly pk: string
  readonly before: number
}

/** By operator: entries whose expiry is before this have expired for whoever comes after a cut. */
export type ExpiryBounds = ReadonlyMap<string, number>

/**
 * Which entries of a subtask have expired for all records and timers behind its cut, by the clock of their TTL: for event time that is the cut's watermark. Late records alone may then miss an
 * entry that they would still have found.
 *
 * Nothing has at the end of the input, as what goes on from there may be another input; and nothing while timers fire, which are before the watermark that they fire for.
 */
export function expiryBounds(
  stage: PhysicalStage,
  { watermark, firing }: Pick<HeadFields, 'watermark' | 'firing'>,
  now: number,
): ExpiryBounds {
  const event = firing.length > 0 || watermark === Number.POSITIVE_INFINITY ? Number.NEGATIVE_INFINITY : watermark
  const bounds = new Map<string, number>()
  for (const { operatorId, node } of keyedNodes(stage)) {
    const times = node.states.flatMap(({ ttl, keptMs }) => ttl?.time ?? (keptMs === undefined ? [] : ['event' as const]))
    // Of an operator with both, the row of an entry does not say which it is by.
    const clocks = times.map(time => (time === 'event' ? event : now - CLOCK_MS))
    if (clocks.length > 0) bounds.set(operatorId, Math.min(...clocks))
  }
  return bounds
}

/** Whether an item has expired by these bounds. Gives where it lies in the base; undefined: it has not. */
export function expiredBy(run: string, bounds: ExpiryBounds): (item: SnapshotItem) => Expired | undefined {
  const latest = Math.max(...bounds.values())
  return ({ address, expiry = Number.POSITIVE_INFINITY }) => {
    if (expiry >= latest) return undefined
    const { pk } = splitAddress(address)
    const before = bounds.get(operatorOf(pk, bounds.keys()) ?? '')
    return before === undefined || expiry >= before ? undefined : { pk: `${run}|${pk}`, before }
  }
}
