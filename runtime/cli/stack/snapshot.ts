import type { Blobs, Ports } from '../../ports.ts'
import type { SavepointOrigin } from '../../savepoint/format.ts'
import { UsageError } from '../error.ts'
import { isSavepoint, withSavepoint } from '../savepoint/place.ts'
import type { Control } from './control.ts'
import { withRun } from './look.ts'
import { findStack, type Stack, stackOrigin } from './stack.ts'

/** What a stack is to start from: a checkpoint of its own run (undefined: the newest), or something that is copied into its bucket first. */
export type Snapshot = { readonly own: true; readonly checkpoint: number | undefined } | ForeignSnapshot

export interface ForeignSnapshot {
  readonly own: false
  /** Opens it, and keeps it as long as `work` takes. @throws UsageError when there is none */
  open<T>(work: (found: FoundSnapshot) => Promise<T>): Promise<T>
}

export interface FoundSnapshot {
  /** For people. */
  readonly name: string
  readonly run: string
  readonly checkpoint: number
  readonly takenFrom: SavepointOrigin
  /** Writes it as a savepoint, which is to have all of `to`. */
  copyTo(to: Blobs): Promise<void>
}

const STACK = 'stack:'

/** As typed: a savepoint's directory or s3:// path, or `stack:NAME[/PIPELINE][@N]`. `target`: the stack that is to start. */
export async function snapshotAt(
  text: string,
  target: Pick<Stack, 'tables'>,
  control: Pick<Control, 'outputs'>,
): Promise<Snapshot> {
  if (!text.startsWith(STACK)) {
    if (isSavepoint(text)) return savepointSnapshot(text)
    throw new UsageError(
      `--from-snapshot ${text}: there is no savepoint; of a state directory, millrace savepoint create DIR --to PATH makes one`,
    )
  }
  const [, name, pipeline, n] = /^stack:([^/@]+)(?:\/([^@]+))?(?:@(\d+))?$/.exec(text) ?? []
  if (name === undefined)
    throw new UsageError(`--from-snapshot ${text}: a stack's name is missing: ${STACK}NAME, or ${STACK}NAME@N`)
  return checkpointOf(name, await findStack(control, name, pipeline), n === undefined ? undefined : Number(n), target)
}

/** Checkpoint `n` (undefined: the newest) of a stack, for itself or for another. */
export function checkpointOf(name: string, stack: Stack, n: number | undefined, target: Pick<Stack, 'tables'>): Snapshot {
  if (stack.tables.log === target.tables.log) return { own: true, checkpoint: n }
  return {
    own: false,
    open: work => withRun(stack, (ports, { run }) => openCheckpoint(ports, run, n, stackOrigin(name, stack), work)),
  }
}

/** A checkpoint that a run has kept, and keeps meanwhile. */
export async function openCheckpoint<T>(
  ports: Pick<Ports, 'log' | 'blobs' | 'clock' | 'random'>,
  run: string,
  n: number | undefined,
  takenFrom: SavepointOrigin,
  work: (found: FoundSnapshot) => Promise<T>,
): Promise<T> {
  const [{ holding }, { readManifest }, { completeCheckpoints }, { writeSavepoint }] = await Promise.all([
    import('../../checkpoint/hold.ts'),
    import('../../checkpoint/manifest.ts'),
    import('../../checkpoint/restore.ts'),
    import('../../savepoint/write.ts'),
  ])
  const at = n ?? (await completeCheckpoints(ports, run)).at(-1)
  if (at === undefined) throw new UsageError(`the stack ${takenFrom.name} has no complete checkpoint yet`)
  return holding(ports, run, at, async () => {
    // What is there now stays.
    const kept = await completeCheckpoints(ports, run)
    if (!kept.includes(at))
      throw new UsageError(`the stack ${takenFrom.name} has no checkpoint ${at}: it has kept ${kept.join(', ') || 'none'}`)
    const manifest = await readManifest(ports.blobs, run, at)
    const name = `checkpoint ${at} of the stack ${takenFrom.name}`
    const copyTo = async (to: Blobs) => void (await writeSavepoint(manifest, ports.blobs, to, takenFrom, ports))
    return work({ name, run, checkpoint: at, takenFrom, copyTo })
  })
}

function savepointSnapshot(path: string): ForeignSnapshot {
  return {
    own: false,
    open: work =>
      withSavepoint(path, async ({ blobs, manifest }) => {
        const { encodeSavepoint } = await import('../../savepoint/format.ts')
        const { METADATA } = await import('../../savepoint/names.ts')
        const { run, checkpoint, takenFrom, files } = manifest
        async function copyTo(to: Blobs): Promise<void> {
          for (const { name } of files) await to.put(name, (await blobs.get(name))!)
          await to.put(METADATA, encodeSavepoint(manifest))
        }
        return work({ name: path, run, checkpoint, takenFrom, copyTo })
      }),
  }
}
