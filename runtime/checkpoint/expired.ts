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

/**
 * Which entries of a subtask have expired for all records and timers behind its cut, by the clock of their TTL: for event time that is the cut's watermark. Late records alone may then miss an
 * entry that they would still have found. Gives where it lies in the base; undefined: it has not.
 *
 * Nothing has at the end of the input, as what goes on from there may be another input; and nothing while timers fire, which are before the watermark that they fire for.
 */
export function expiredAt(
  run: string,
  stage: PhysicalStage,
  { watermark, firing }: Pick<HeadFields, 'watermark' | 'firing'>,
  now: number,
): (item: SnapshotItem) => Expired | undefined {
  const event = firing.length > 0 || watermark === Number.POSITIVE_INFINITY ? Number.NEGATIVE_INFINITY : watermark
  const bounds = new Map<string, number>()
  for (const { operatorId, node } of keyedNodes(stage)) {
    const times = node.states.flatMap(({ ttl }) => (ttl === undefined ? [] : [ttl.time]))
    // Of an operator with both, the row of an entry does not say which it is by.
    const clocks = times.map(time => (time === 'event' ? event : now - CLOCK_MS))
    if (clocks.length > 0) bounds.set(operatorId, Math.min(...clocks))
  }
  const latest = Math.max(...bounds.values())
  return ({ address, expiry = Number.POSITIVE_INFINITY }) => {
    if (expiry >= latest) return undefined
    const { pk } = splitAddress(address)
    const before = bounds.get(operatorOf(pk, bounds.keys()) ?? '')
    return before === undefined || expiry >= before ? undefined : { pk: `${run}|${pk}`, before }
  }
}
