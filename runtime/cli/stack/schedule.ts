import type { Clock } from '../../ports.ts'
import type { Control } from './control.ts'
import type { Stack } from './stack.ts'

const POLL_MS = 1_000
/** As long as a chain goes on without its schedule (infra/checkpoint-definition.ts): one that could not be caught has ended then. */
const WAIT_MS_MAX = 150_000

/**
 * No more checkpoints by themselves. Below a minute's interval each execution starts the next, and would for some minutes after the schedule's last word: those are
 * stopped, which they may be at any point, while those that somebody asked for come to their end.
 */
export async function endSchedule(
  control: Pick<Control, 'setSchedule' | 'runningExecutions' | 'execution' | 'stopExecution'>,
  { schedule, checkpoints }: Pick<Stack, 'schedule' | 'checkpoints'>,
  clock: Clock,
): Promise<void> {
  await control.setSchedule(schedule, false)
  const end = clock.now() + WAIT_MS_MAX
  for (;;) {
    const links: string[] = []
    for (const arn of await control.runningExecutions(checkpoints)) {
      const { status, repeats } = await control.execution(arn)
      if (status === 'RUNNING' && repeats === true) links.push(arn)
    }
    if (links.length === 0 || clock.now() > end) return
    for (const arn of links) await control.stopExecution(arn)
    // One of them may have started the next meanwhile.
    await clock.sleep(POLL_MS)
  }
}
