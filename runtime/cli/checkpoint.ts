import { systemClock } from '../embedded/clock.ts'
import type { Command } from './command.ts'
import { bytes, duration } from './format.ts'
import { withRun } from './stack/look.ts'
import { openStack, STACK_FLAGS, type Stack } from './stack/stack.ts'
import { takeCheckpoint } from './stack/take-checkpoint.ts'
import { waiting } from './stack/waiting.ts'

export const checkpoint: Command = {
  name: 'checkpoint',
  summary: 'Take a checkpoint of a pipeline on AWS now',
  description: `Takes a checkpoint of the pipeline of a stack, and waits until it is complete. While another one is being taken, it waits for that to end first.
Exit code 1 if the checkpoint fails; the one before stands then. When nothing flowed since the last one there is nothing to save, and the exit code is 0.`,
  positionals: [],
  flags: { ...STACK_FLAGS, json: { help: 'Print the outcome as JSON' } },
  examples: ['millrace checkpoint --stack Shop'],
  async run(args) {
    const { control, stack } = await openStack(args)
    const progress = waiting(process.stderr)
    const taken = await takeCheckpoint(control, stack.checkpoints, systemClock, progress.update).finally(progress.clear)
    const details = taken.outcome === 'complete' ? await detailsOf(stack, taken.checkpoint) : undefined
    if (args.has('json')) process.stdout.write(`${JSON.stringify({ ...taken, ...details })}\n`)
    else if (taken.outcome === 'failed')
      process.stderr.write(`millrace: the checkpoint failed, and the one before stands: ${taken.reason}\n`)
    else if (taken.outcome === 'nothing')
      process.stdout.write('nothing flowed since the last checkpoint: there is nothing to save\n')
    else
      process.stdout.write(
        `checkpoint ${taken.checkpoint} is complete${details === undefined ? '' : `: it took ${duration(details.tookMs)}, and wrote ${bytes(details.bytes)}`}\n`,
      )
    return taken.outcome === 'failed' ? 1 : 0
  },
}

async function detailsOf(stack: Stack, n: number): Promise<{ tookMs: number; bytes: number } | undefined> {
  const { decisionOf } = await import('../checkpoint/decision.ts')
  const decision = await withRun(stack, ({ log }, { run }) => decisionOf(log, run, n))
  return decision && { tookMs: decision.decidedAt - decision.startedAt, bytes: decision.bytes }
}
