import type { Clock } from '../../ports.ts'
import type { Control } from './control.ts'
import { setMappings } from './mappings.ts'
import { endSchedule } from './schedule.ts'
import type { Stack } from './stack.ts'
import { type Taken, takeCheckpoint } from './take-checkpoint.ts'

/** Tells the run that it is stopped, or goes on (checkpoint/stops.ts). */
export type Tell = (stopped: boolean) => Promise<void>

/**
 * Sources first: then the barrier of the last checkpoint is behind all that they sent, and the checkpoint has all that was on its way. The schedule last, as the checkpoint may be one
 * of its own; before it, the run is told, so that what the schedule has called by then begins nothing any more. What the checkpoint says, unless none was wanted; when it failed, all is as it was.
 */
export async function stopStack(
  control: Omit<Control, 'outputs' | 'lags' | 'mappingProblem' | 'invoke'>,
  stack: Stack,
  clock: Clock,
  { checkpoint, onWait, tell }: { checkpoint: boolean; onWait: (elapsedMs: number, what: string) => void; tell: Tell },
): Promise<Taken | undefined> {
  const sources = mappingsOf(stack, true)
  if (!checkpoint) {
    onWait(0, 'the stages stop')
    await setMappings(control, { ...sources, ...mappingsOf(stack, false) }, false, clock)
    await tell(true)
    await endSchedule(control, stack, clock)
    return undefined
  }
  onWait(0, 'the sources stop')
  await setMappings(control, sources, false, clock)
  const taken = await takeCheckpoint(control, stack.checkpoints, clock, onWait)
  if (taken.outcome === 'failed') {
    await setMappings(control, sources, true, clock)
    return taken
  }
  await setMappings(control, mappingsOf(stack, false), false, clock)
  await tell(true)
  await endSchedule(control, stack, clock)
  return taken
}

/**
 * The schedule, then the stages behind the sources, so that they are there for what these send. The run is told last: from then on a source without records is silent. `join`: what sources have to do
 * before anything is delivered to them.
 */
export async function startStack(
  control: Pick<Control, 'mappingState' | 'setMapping' | 'setSchedule'>,
  stack: Stack,
  clock: Clock,
  tell: Tell,
  join: () => Promise<void>,
): Promise<void> {
  await control.setSchedule(stack.schedule, true)
  await setMappings(control, mappingsOf(stack, false), true, clock)
  await join()
  await setMappings(control, mappingsOf(stack, true), true, clock)
  await tell(false)
}

function mappingsOf({ stages }: Stack, ofSources: boolean): Record<string, string> {
  const chosen = Object.entries(stages).filter(([, { cut }]) => (cut !== undefined) === ofSources)
  return Object.fromEntries(chosen.map(([id, { mapping }]) => [id, mapping]))
}
