import { type Decision, decisions } from '../checkpoint/decision.ts'
import { readManifest } from '../checkpoint/manifest.ts'
import { completeCheckpoints } from '../checkpoint/restore.ts'
import type { RunMeta } from '../checkpoint/run-meta.ts'
import type { Ports, RangedBlobs } from '../ports.ts'

/** What can be looked at beside a pipeline that runs. */
export interface Readable extends Pick<Ports, 'log' | 'store'> {
  readonly blobs: Pick<RangedBlobs, 'list' | 'get' | 'getRange'>
}

export interface Checkpoint {
  readonly n: number
  readonly status: Exclude<Decision['outcome'], 'superseded'>
  /** A run can start from it; older ones go. */
  readonly kept: boolean
  /** Epoch ms. */
  readonly startedAt: number
  readonly completedAt: number
  /** Of state that it materialised. */
  readonly bytes: number
  readonly reason?: string
}

/** By log, the cut of the last complete checkpoint. */
export async function lastCuts({ log, blobs }: Readable, meta: RunMeta): Promise<Map<string, number>> {
  const last = meta.snapshots ? (await completeCheckpoints({ log, blobs }, meta.run)).at(-1) : undefined
  if (last === undefined) return new Map()
  return new Map((await readManifest(blobs, meta.run, last)).subtasks.map(s => [s.log, s.version]))
}

/** The checkpoints of a run, oldest first. */
export async function checkpointsOf({ log, blobs }: Readable, meta: RunMeta): Promise<Checkpoint[]> {
  const kept = new Set(meta.snapshots ? await completeCheckpoints({ log, blobs }, meta.run) : [])
  return (await decisions(log, meta.run)).map(({ checkpoint, decision }) => ({
    n: checkpoint,
    status: decision.outcome === 'superseded' ? 'failed' : decision.outcome,
    kept: kept.has(checkpoint),
    startedAt: decision.startedAt,
    completedAt: decision.decidedAt,
    bytes: decision.bytes,
    reason: decision.reason,
  }))
}
