import type { Checkpoint } from '../inspect/checkpoints.ts'
import type { Arguments, Command } from './command.ts'
import { asUsage } from './error.ts'
import { bytes, columns, duration } from './format.ts'
import { withRunIfAny } from './stack/look.ts'
import { openStack, STACK_FLAGS } from './stack/stack.ts'
import { checkStateDirectory } from './state-directory.ts'

export const checkpoints: Command = {
  name: 'checkpoints',
  summary: 'List the checkpoints of a state directory or a stack',
  description: `Lists the checkpoints that runs with --state DIR took, oldest first, with the reason why one failed, also while a run is on.
From those that are kept, a run can start: millrace run FILE --from-snapshot DIR@N. With --stack, those of a pipeline on AWS.`,
  positionals: [{ name: 'DIR', unless: 'stack', help: 'the state directory of a run' }],
  flags: { ...STACK_FLAGS, json: { help: 'Print the list as JSON' } },
  examples: ['millrace checkpoints state', 'millrace checkpoints state --json', 'millrace checkpoints --stack Shop'],
  async run(args) {
    const [found, directory] = args.text('stack') === undefined ? await ofDirectory(args) : await ofStack(args)
    if (args.has('json')) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`)
    else if (found.length === 0) process.stdout.write(`no checkpoints in ${directory}\n`)
    else process.stdout.write(`${columns([['n', 'status', 'kept', 'started', 'took', 'size', 'reason'], ...found.map(row)])}\n`)
    return 0
  },
}

async function ofDirectory(args: Arguments): Promise<[Checkpoint[], string]> {
  const directory = checkStateDirectory(args.positionals[0]!)
  const { listCheckpoints } = await import('../embedded/inspect.ts')
  return [await asUsage(() => listCheckpoints(directory)), directory]
}

async function ofStack(args: Arguments): Promise<[Checkpoint[], string]> {
  const { stack } = await openStack(args)
  const { checkpointsOf } = await import('../inspect/checkpoints.ts')
  const found = await withRunIfAny(stack, checkpointsOf)
  return [found?.result ?? [], `the stack ${args.text('stack')}`]
}

function row({ n, status, kept, startedAt, completedAt, bytes: size, reason }: Checkpoint): string[] {
  return [
    `${n}`,
    status,
    kept ? 'yes' : '',
    new Date(startedAt).toISOString(),
    duration(completedAt - startedAt),
    bytes(size),
    reason ?? '',
  ]
}
