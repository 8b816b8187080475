import type { RunMeta } from '../../checkpoint/run-meta.ts'
import type { Stop } from '../../checkpoint/stops.ts'
import type { Head } from '../../protocol/log.ts'

/** Epoch ms from which on a source could be heard: before it was started, it was not asked. */
export function goingSince({ createdAt }: RunMeta, stop: Stop | undefined): number {
  return Math.max(createdAt, stop?.at ?? 0)
}

/** Whether a source subtask has had no record for `idleAfter`. One whose records came before there was a time with them is not, up to its next cut. */
export function isSilent({ fields }: Head, idleAfter: number | undefined, since: number, now: number): boolean {
  if (idleAfter === undefined || (fields.heardAt === undefined && fields.source !== undefined)) return false
  return now - Math.max(since, fields.heardAt ?? 0) >= idleAfter
}
