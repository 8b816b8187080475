import { systemClock } from '../embedded/clock.ts'
import type { Command } from './command.ts'
import { openStack, STACK_FLAGS } from './stack/stack.ts'
import { startStack } from './stack/stop-stack.ts'
import { tellRun } from './stack/tell.ts'

export const start: Command = {
  name: 'start',
  summary: 'Start a pipeline on AWS that was stopped',
  description: `Has the pipeline of a stack go on where millrace stop stopped it. A deployed pipeline runs by itself: this is needed after a stop only.
Checkpoints are taken again, the first one within a minute, or after the interval if that is longer.
What its sources' streams have dropped in the meantime (their retention is a day, unless it was set) is lost: then the stage says so, and does not go on.`,
  positionals: [],
  flags: STACK_FLAGS,
  examples: ['millrace start --stack Shop'],
  async run(args) {
    const { control, stack } = await openStack(args)
    await startStack(control, stack, systemClock, tellRun(stack))
    process.stdout.write(`${stack.pipeline} runs\n`)
    return 0
  },
}
