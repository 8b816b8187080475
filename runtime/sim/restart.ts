import type { RestoredRun, RestoreEvent } from '../aws/functions/restore-run.ts'
import { completeCheckpoints } from '../checkpoint/restore.ts'
import { readRun } from '../checkpoint/run-meta.ts'
import { tellStop } from '../checkpoint/stops.ts'
import type { Outcome } from './lambda.ts'
import type { Dice } from './random.ts'
import { chooseFrom } from './restored.ts'
import type { Simulation } from './simulation.ts'
import type { World } from './world.ts'

/** From when nothing is to be delivered any more until somebody restores: others are frozen for longer. */
const STOPPED_MS = [100, 60_000] as const
const AGAIN_MS = [500, 10_000] as const
/** There has to be a checkpoint. */
const LOOK_MS = 5_000
const LOOKS_MAX = 100
/** Of the checkpoints that are kept, else the newest that there is by then. */
const CHOSEN_CHANCE = 0.5

export interface Restart {
  /** Nobody restarts, or somebody has. */
  readonly isOver: boolean
}

export const NO_RESTART: Restart = { isOver: true }

/**
 * Somebody stops the stack, and starts it from one of its checkpoints, as `millrace stop --no-checkpoint` and `millrace start --from-snapshot` do it: while functions of the run before are under way, or frozen, or are called
 * late (protocol.md, D8). `inMs`: when.
 */
export function restartIn(inMs: number, { scheduler, trace }: Simulation, dice: Dice, world: World): Restart {
  const { ports } = world
  let isOver = false

  async function restart(): Promise<void> {
    await scheduler.sleep(inMs)
    const meta = await checkpointed()
    if (meta === undefined) return
    trace?.(`the stack is stopped, to start again from a checkpoint of ${meta.run}`)
    world.stop(dice.chance(0.5))
    await tellStop(ports, meta.run, true)
    await scheduler.sleep(dice.spread(...STOPPED_MS))
    const complete = await completeCheckpoints(ports, meta.run)
    await restore(dice.chance(CHOSEN_CHANCE) ? { checkpoint: await chooseFrom(complete, meta.run, ports, dice) } : {})
    await world.renew()
    const { run, origin } = (await readRun(ports))!
    trace?.(`run ${run} starts, from checkpoint ${origin!.checkpoint} of ${origin!.run}`)
    world.goOn('stages')
    await Promise.all(world.joins().map(join => until(join, ({ joined }) => joined)))
    world.goOn('sources')
    await tellStop(ports, run, false)
  }

  async function checkpointed() {
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const meta = await readRun(ports)
      if (meta !== undefined && (await completeCheckpoints(ports, meta.run)).length > 0) return meta
      await scheduler.sleep(LOOK_MS)
    }
    return undefined
  }

  /** The same command again, if it died; or another one, if it says so. */
  async function restore(asked: { readonly checkpoint?: number }): Promise<RestoredRun> {
    let from = asked
    const event = (): RestoreEvent => ({ step: 'restore', from, newInput: false, replace: false, allowDrop: false })
    return until(
      () => world.steps(event()),
      () => true,
      ({ error, message }) => {
        const other = /was interrupted in .*: start from checkpoint (\d+)/.exec(message)?.[1]
        if (other !== undefined) from = { checkpoint: Number(other) }
        else if (error === 'RestoreError') from = {}
      },
    )
  }

  async function until(
    call: () => Promise<Outcome>,
    isDone: (answer: any) => boolean,
    onError: (failed: Extract<Outcome, { error: string }>) => void = () => {},
  ): Promise<any> {
    for (;;) {
      const outcome = await call()
      if ('error' in outcome) onError(outcome)
      else if (isDone(outcome.answer)) return outcome.answer
      await scheduler.sleep(dice.spread(...AGAIN_MS))
    }
  }

  void restart().then(() => {
    isOver = true
  })
  return {
    get isOver() {
      return isOver
    },
  }
}
