import { systemClock } from '../embedded/clock.ts'
import type { Command } from './command.ts'
import { keptWhileStopped } from './stack/kept.ts'
import { openStack, STACK_FLAGS } from './stack/stack.ts'
import { stopStack } from './stack/stop-stack.ts'
import { tellRun } from './stack/tell.ts'
import { waiting } from './stack/waiting.ts'

export const stop: Command = {
  name: 'stop',
  summary: 'Stop a pipeline on AWS, with a last checkpoint',
  description: `Stops the pipeline of a stack: its sources first, then, when a last checkpoint has taken in all that was on its way, the other stages.
Nothing is lost, and nothing is removed: what arrives in its sources meanwhile waits there, as long as they keep it (it says how long), until millrace start.
Checkpoints are no longer taken by themselves.
If the checkpoint fails, the sources go on as before, and the exit code is 1; with --no-checkpoint all stages stop at once, between two commits.`,
  positionals: [],
  flags: { ...STACK_FLAGS, 'no-checkpoint': { help: 'Stop without a last checkpoint' } },
  examples: ['millrace stop --stack Shop'],
  async run(args) {
    const { control, stack } = await openStack(args)
    const progress = waiting(process.stderr)
    const stopped = await stopStack(control, stack, systemClock, {
      checkpoint: !args.has('no-checkpoint'),
      onWait: progress.update,
      tell: tellRun(stack),
    }).finally(progress.clear)
    if (stopped?.outcome === 'failed') {
      process.stderr.write(`millrace: the last checkpoint failed, and ${stack.pipeline} goes on as before: ${stopped.reason}\n`)
      return 1
    }
    const last = stopped?.outcome === 'complete' ? `, with checkpoint ${stopped.checkpoint}` : ''
    process.stdout.write(
      `${stack.pipeline} is stopped${last}; millrace start --stack ${args.text('stack')} goes on\n${keptWhileStopped(stack, stopped !== undefined)}\n`,
    )
    return 0
  },
}
