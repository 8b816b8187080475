import type { JoinEvent, Joined } from '../../aws/functions/join-source.ts'
import { readRun, refuseInterrupted } from '../../checkpoint/run-meta.ts'
import { atOnce } from '../../connectors/at-once.ts'
import { logsOf } from '../../inspect/stages.ts'
import type { Ports } from '../../ports.ts'
import { asUsage } from '../error.ts'
import type { Control } from './control.ts'
import type { Stack } from './stack.ts'

/** As many functions of a stage run at a time. */
const AT_ONCE = 50

/**
 * Has each subtask of a source read on from the checkpoint that its run began with to where its stream is, before its mapping brings what comes then. Of a run that began anew, or whose sources have done so,
 * nothing.
 *
 * @throws UsageError when a restore was begun and is not done
 */
export async function joinSources(
  control: Pick<Control, 'invoke'>,
  { stages }: Pick<Stack, 'stages'>,
  ports: Pick<Ports, 'log'>,
  tell: (what: string) => void,
): Promise<void> {
  await asUsage(() => refuseInterrupted(ports, 'this stack'))
  const meta = await readRun(ports)
  if (meta?.origin === undefined) return
  const subtasks = logsOf(meta).flatMap(({ id, names }) => {
    const stage = stages[id]
    return stage?.cut !== undefined && stage.reads === 'kinesis' ? names.map((_, join) => ({ name: stage.function, join })) : []
  })
  tell('the sources read on from the checkpoint')
  await atOnce(AT_ONCE, subtasks, async ({ name, join }) => {
    const event: JoinEvent = { join }
    while (!((await control.invoke(name, event)) as Joined).joined);
  })
}
