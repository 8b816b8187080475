import { decisions } from '../../checkpoint/decision.ts'
import { holding } from '../../checkpoint/hold.ts'
import { readManifest } from '../../checkpoint/manifest.ts'
import { completeCheckpoints } from '../../checkpoint/restore.ts'
import type { RunMeta } from '../../checkpoint/run-meta.ts'
import type { SavepointPlace } from '../../embedded/run-options.ts'
import type { Ports } from '../../ports.ts'
import type { SavepointManifest, SavepointOrigin } from '../../savepoint/format.ts'
import { writeSavepoint } from '../../savepoint/write.ts'
import type { Taken } from '../stack/take-checkpoint.ts'

export type TakenSavepoint =
  | { readonly outcome: 'complete'; readonly place: SavepointPlace; readonly manifest: SavepointManifest }
  | { readonly outcome: 'nothing' }
  | { readonly outcome: 'failed'; readonly reason: string }

/**
 * A savepoint of a run that goes on: of a checkpoint that is taken now, or of the last one if nothing flowed since. Retention is held off before that checkpoint begins, until all
 * of it is copied. `nothing`: there has been no checkpoint, and there is nothing to take one of.
 */
export async function takeSavepoint(
  ports: Pick<Ports, 'log' | 'blobs' | 'clock' | 'random'>,
  { run }: RunMeta,
  origin: SavepointOrigin,
  checkpoint: () => Promise<Taken>,
  placeOf: (checkpoint: number) => Promise<SavepointPlace>,
): Promise<TakenSavepoint> {
  const last = (await decisions(ports.log, run)).findLast(d => d.decision.outcome === 'complete')?.checkpoint ?? 0
  return holding(ports, run, last, async () => {
    const taken = await checkpoint()
    if (taken.outcome === 'failed') return taken
    const n = taken.outcome === 'complete' ? taken.checkpoint : (await completeCheckpoints(ports, run)).at(-1)
    if (n === undefined) return { outcome: 'nothing' }
    const found = await readManifest(ports.blobs, run, n)
    const place = await placeOf(n)
    const { blobs, close } = await place.open()
    try {
      const manifest = await writeSavepoint(found, ports.blobs, blobs, origin, ports)
      return { outcome: 'complete', place, manifest }
    } finally {
      await close()
    }
  })
}
