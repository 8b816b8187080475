import { MillraceError } from '../errors.ts'
import type { Arguments, Command } from './command.ts'
import { UsageError } from './error.ts'
import { duration } from './format.ts'
import { positiveInteger } from './parse.ts'
import type { RescaleAnswer } from './rescale-requests.ts'
import { withRun } from './stack/look.ts'
import { openStack, STACK_FLAGS } from './stack/stack.ts'
import { waiting } from './stack/waiting.ts'
import { checkStateDirectory } from './state-directory.ts'

/** A run looks for requests a few times a second. */
const TAKEN_UP_MS = 5_000
const LOOK_MS = 50
/** What lies in the shards is worked off first, which may take a while. */
const ANSWERED_MS = 600_000

export const rescale: Command = {
  name: 'rescale',
  summary: 'Change the parallelism of a run, or of a stack on AWS, while it runs',
  description: `Splits or merges the shards of the stages of a millrace run --state DIR that is at work, or of a stack's (--stack NAME), while records flow: each stage then has as many subtasks as if the pipeline had been
started with --parallelism N; operators that set their own keep it. Resolves when those that took over are at work, and says how long keys stood still. A later millrace run --parallelism N on the directory goes on with them.
Of a stack, Kinesis takes half a minute for each shard, and checkpoints are taken until all have taken over.
What can't be rescaled is refused by name: runs with --threads or with --state-backend segments.
Exit code 1 if the run refuses, 2 if none is at work.`,
  positionals: [],
  flags: {
    state: { value: 'DIR', help: 'State directory of the run' },
    ...STACK_FLAGS,
    parallelism: { value: 'N', help: 'Subtasks of each stage whose operators set none' },
    stage: { value: 'ID', help: 'Of a stack: this stage alone (millrace status names them)' },
    json: { help: 'Print the outcome as JSON' },
  },
  examples: ['millrace rescale --state state --parallelism 8', 'millrace rescale --stack Shop --parallelism 8'],
  async run(args) {
    const [state, parallelism] = [args.text('state'), positiveInteger(args, 'parallelism')]
    if (args.text('stack') !== undefined && state === undefined && parallelism !== undefined)
      return rescaleOnStack(args, parallelism)
    if (args.text('stage') !== undefined) throw new UsageError('--stage is for stacks: --stack NAME is missing')
    if (state === undefined || parallelism === undefined)
      throw new UsageError('rescale needs --state DIR, of a run that is at work, or --stack NAME, and --parallelism N')
    const answer = await rescaled(checkStateDirectory(state), parallelism)
    if ('refused' in answer) throw new MillraceError(answer.refused)
    const { stages, pauseMsMax, pauseMsMean, drainMsMax } = answer.rescaled
    if (args.has('json')) process.stdout.write(`${JSON.stringify(answer.rescaled)}\n`)
    else if (stages.length === 0) process.stdout.write('every stage has as many subtasks already\n')
    else {
      for (const { id, from, to } of stages) process.stdout.write(`${id}: ${from} → ${to} subtasks\n`)
      process.stdout.write(
        `keys stood still for ${duration(pauseMsMean)} on average, ${duration(pauseMsMax)} at most; what lay in the old shards was worked off in ${duration(drainMsMax)}\n`,
      )
    }
    return 0
  },
}

async function rescaleOnStack(args: Arguments, parallelism: number): Promise<number> {
  const [{ rescaleStack }, { kinesisShardCounts }, { systemClock }] = await Promise.all([
    import('./stack/rescale-stack.ts'),
    import('./stack/shard-counts.ts'),
    import('../embedded/clock.ts'),
  ])
  const { control, stack } = await openStack(args)
  const progress = waiting(process.stderr)
  const options = { parallelism, stage: args.text('stage'), onWait: progress.update }
  const { stages, begun } = await withRun(stack, (ports, meta) =>
    rescaleStack(control, kinesisShardCounts(), stack, ports, meta, systemClock, options),
  ).finally(progress.clear)
  if (args.has('json')) process.stdout.write(`${JSON.stringify({ stages, begun })}\n`)
  else if (stages.length === 0) process.stdout.write('every stage has as many subtasks already\n')
  else {
    for (const { stage, from, to, pauses } of stages) {
      const most = (of: 'waitedMs' | 'tookMs') => duration(Math.max(...pauses.map(pause => pause[of])))
      const waited = `: the first records of those that took over waited ${most('waitedMs')} at most, ${most('tookMs')} of that for the end of others`
      process.stdout.write(`${stage}: ${from} → ${to} subtasks${pauses.length === 0 ? '' : waited}\n`)
    }
    if (!begun) process.stdout.write('nothing flows: those that take over begin with the next records\n')
  }
  return 0
}

async function rescaled(state: string, parallelism: number): Promise<RescaleAnswer> {
  const { answerTo, ask, withdraw } = await import('./rescale-requests.ts')
  const { systemClock, systemRandom } = await import('../embedded/clock.ts')
  const request = { id: systemRandom.id(), parallelism }
  const askedAt = systemClock.now()
  ask(state, request)
  for (;;) {
    const answer = answerTo(state, request)
    if (answer !== undefined) return answer
    const waited = systemClock.now() - askedAt
    if (waited > TAKEN_UP_MS && withdraw(state))
      throw new UsageError(`no run is at work on ${state}: start it with millrace run FILE --state ${state}`)
    if (waited > ANSWERED_MS)
      throw new MillraceError(
        `the run on ${state} has taken up the request, and not answered it for ${duration(waited)}: did it end?`,
      )
    await systemClock.sleep(LOOK_MS)
  }
}
