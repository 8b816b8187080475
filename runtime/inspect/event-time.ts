import { readMarker } from '../checkpoint/marker.ts'
import { decodeItem } from '../protocol/item.ts'
import type { Readable } from './checkpoints.ts'

/**
 * How far event time had come for a subtask when its state was last written to the store. -Infinity also once its input has ended: no time is later than another then, and
 * nothing more expires.
 */
export async function eventTimeOf({ store, log }: Pick<Readable, 'store' | 'log'>, name: string): Promise<number> {
  const bytes = await log.get(name, await readMarker(store, name))
  const item = bytes === undefined ? undefined : decodeItem(bytes)
  const watermark = item?.kind === 'commit' ? item.head.watermark : Number.NEGATIVE_INFINITY
  return watermark === Number.POSITIVE_INFINITY ? Number.NEGATIVE_INFINITY : watermark
}
