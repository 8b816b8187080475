import { lambdaCause } from '../../aws/lambda-cause.ts'
import type { Clock } from '../../ports.ts'
import type { Control, Execution } from './control.ts'

export type Taken =
  | { readonly outcome: 'complete'; readonly checkpoint: number }
  | { readonly outcome: 'nothing' }
  | { readonly outcome: 'failed'; readonly reason: string }

const POLL_MS = 1_000
/** Longer than an execution may take. */
const WAIT_MS_MAX = 65 * 60_000

/**
 * Has a checkpoint taken that begins now or later, and waits for it. While another one is taken, it waits for that to end, and asks again; where each is followed by
 * the next within a minute, it is the next one that is waited for, as a checkpoint in between would break their chain; a chain that ended, since nothing flowed, is not waited for.
 */
export async function takeCheckpoint(
  control: Pick<Control, 'startExecution' | 'execution' | 'executionsAfter' | 'runningExecutions'>,
  machine: string,
  clock: Clock,
  onWait: (elapsedMs: number, what: string) => void,
): Promise<Taken> {
  const began = clock.now()
  const wait = async (what: string) => {
    onWait(clock.now() - began, what)
    if (clock.now() - began > WAIT_MS_MAX) throw new Error(`no checkpoint has ended within ${WAIT_MS_MAX / 60_000} minutes`)
    await clock.sleep(POLL_MS)
  }
  for (;;) {
    const { arn, startedAt } = await control.startExecution(machine)
    let execution = await control.execution(arn)
    for (; execution.status === 'RUNNING'; execution = await control.execution(arn)) await wait('the checkpoint is being taken')
    if (execution.output?.outcome !== 'busy') return takenBy(execution)
    const followed = execution.output.everySeconds ? await next(startedAt) : undefined
    if (followed !== undefined) return followed
    await wait('another checkpoint is being taken')
  }

  /** The first that began after this did, and took one. Undefined: the chain has ended. */
  async function next(since: number): Promise<Taken | undefined> {
    for (;;) {
      const running = await control.runningExecutions(machine)
      for (const arn of [...(await control.executionsAfter(machine, since))].reverse()) {
        const execution = await control.execution(arn)
        if (execution.status !== 'RUNNING' && execution.output?.outcome !== 'busy') return takenBy(execution)
      }
      if (running.length === 0) return undefined
      await wait('waiting for the next checkpoint')
    }
  }
}

function takenBy({ status, output, cause }: Execution): Taken {
  if (status !== 'SUCCEEDED')
    return { outcome: 'failed', reason: cause === undefined ? `its execution ended as ${status}` : lambdaCause(cause) }
  if (output?.outcome === 'complete') return { outcome: 'complete', checkpoint: output.checkpoint! }
  return { outcome: 'nothing' }
}
