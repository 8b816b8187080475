import { decodeItem } from '../protocol/item.ts'
import type { Readable } from './checkpoints.ts'

/**
 * How far event time had come for a subtask with this commit. -Infinity also once its input has ended: no time is later than another then, and
 * nothing more expires.
 */
export async function eventTimeOf({ log }: Pick<Readable, 'log'>, name: string, version: number): Promise<number> {
  const bytes = await log.get(name, version)
  const item = bytes === undefined ? undefined : decodeItem(bytes)
  const watermark = item?.kind === 'commit' ? item.head.watermark : Number.NEGATIVE_INFINITY
  return watermark === Number.POSITIVE_INFINITY ? Number.NEGATIVE_INFINITY : watermark
}
