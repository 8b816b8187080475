import { holding } from '../checkpoint/hold.ts'
import { readManifest } from '../checkpoint/manifest.ts'
import { completeCheckpoints } from '../checkpoint/restore.ts'
import { readRun } from '../checkpoint/run-meta.ts'
import { within } from '../connectors/within.ts'
import { checkedFiles, readSavepoint } from '../savepoint/format.ts'
import { writeSavepoint } from '../savepoint/write.ts'
import type { Dice } from './random.ts'
import type { Simulation } from './simulation.ts'
import type { World } from './world.ts'

/** When somebody takes a savepoint, and how long it takes to copy: many checkpoints are complete meanwhile. */
const BEGIN_MS = [30_000, 10 * 60_000] as const
const COPY_MS = [1_000, 15 * 60_000] as const
const CHANCE = 0.3

export interface Savepoints {
  /** Resolves when none is under way, with what is wrong with one; undefined: nothing. */
  check(): Promise<string | undefined>
}

/**
 * Savepoints are taken of a run, as `millrace savepoint create --stack` does: a hold, then the newest checkpoint is copied, slowly. What it needs may not go while it is copied, and of the copy nothing may ever go
 * or change.
 */
export function takeSavepoints({ scheduler }: Simulation, dice: Dice, world: World): Savepoints {
  const { ports } = world
  const name = `savepoints/${Math.floor(dice.fraction() * 1e9)}`
  let fault: string | undefined
  let taken = false

  async function take(): Promise<void> {
    const { run } = (await readRun(ports))!
    const checkpoint = (await completeCheckpoints(ports, run)).at(-1)
    if (checkpoint === undefined) return
    await holding(ports, run, checkpoint, async () => {
      const manifest = await readManifest(ports.blobs, run, checkpoint)
      await scheduler.sleep(dice.spread(...COPY_MS))
      await writeSavepoint(manifest, ports.blobs, within(ports.blobs, `${name}/`), { kind: 'stack', name: 'sim' }, ports)
    })
    taken = true
  }

  const work = dice.chance(CHANCE)
    ? scheduler
        .sleep(dice.spread(...BEGIN_MS))
        .then(take)
        .catch(error => {
          fault = `a savepoint could not be taken: ${(error as Error).message}`
        })
    : Promise.resolve()

  return {
    async check() {
      await work
      if (!taken) return fault
      const blobs = within(ports.blobs, `${name}/`)
      try {
        const manifest = await readSavepoint(blobs, name)
        const files = checkedFiles(blobs, manifest, name)
        for (const { name: file } of manifest.files) await files.get(file)
      } catch (error) {
        return `a savepoint is not what it was: ${(error as Error).message}`
      }
      return undefined
    },
  }
}
