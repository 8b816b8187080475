import { systemClock } from '../embedded/clock.ts'
import type { Command } from './command.ts'
import { openStack, STACK_FLAGS } from './stack/stack.ts'
import { readStatus } from './stack/status.ts'
import { statusText } from './stack/status-text.ts'

export const status: Command = {
  name: 'status',
  summary: 'Show where the stages of a pipeline on AWS stand',
  description: `Shows the stages of a stack's pipeline: whether they run, records a second (of two looks, some seconds apart), how far each is behind what it reads (the most in
the last minutes, where CloudWatch knows; of Kafka in records), its watermark and how that is behind the clock, commits, and the last checkpoint.`,
  positionals: [],
  flags: { ...STACK_FLAGS, json: { help: 'Print it as JSON' } },
  examples: ['millrace status --stack Shop', 'millrace status --stack Shop --json'],
  async run(args) {
    const { control, stack } = await openStack(args)
    const found = await readStatus(control, stack, systemClock)
    process.stdout.write(args.has('json') ? `${JSON.stringify(found, null, 2)}\n` : statusText(found, systemClock.now()))
    return 0
  },
}
