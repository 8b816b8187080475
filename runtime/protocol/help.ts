import type { CommitLog, Random } from '../ports.ts'
import { decodeItem, type SlotItem } from './item.ts'
import { putSlot } from './log.ts'

/**
 * Decides a dead producer's slot by writing an abort into it (protocol.md, B3), so that it can never block its consumers. Only above the producer's
 * floor, and every slot before it first: a hole would end the log for its owner. The conditional put makes this safe: whoever is first decides.
 * Returns the number of slots that this call aborted.
 */
export async function help(log: CommitLog, random: Random, producer: string, version: number): Promise<number> {
  const floor = await log.floor(producer)
  if (version <= floor) return 0
  const { first, prev } = await lastDecided(log, producer, version, floor)
  let before = prev
  let aborted = 0
  for (let v = first; v <= version; v++) {
    const abort: SlotItem = { kind: 'abort', attempt: `abort-${random.id()}`, prev: before }
    if (await putSlot(log, producer, v, abort)) {
      aborted++
      before = abort.attempt
    } else {
      const bytes = await log.get(producer, v)
      if (bytes === undefined) return aborted // expired meanwhile: the producer is alive and ahead
      before = decodeItem(bytes).attempt
    }
  }
  return aborted
}

/** The first undecided slot at or below `version`, and the attempt before it. */
async function lastDecided(
  log: CommitLog,
  producer: string,
  version: number,
  floor: number,
): Promise<{ first: number; prev: string }> {
  for (let v = version; v > Math.max(floor, 0); v--) {
    const bytes = await log.get(producer, v)
    if (bytes !== undefined) return { first: v + 1, prev: decodeItem(bytes).attempt }
  }
  if (floor === 0) return { first: 1, prev: '' }
  const bytes = await log.get(producer, floor)
  return { first: floor + 1, prev: bytes === undefined ? '' : decodeItem(bytes).attempt }
}
