import type { CheckpointInfo } from '../embedded/inspect.ts'
import type { Command } from './command.ts'
import { asUsage } from './error.ts'
import { bytes, columns, duration } from './format.ts'
import { checkStateDirectory } from './state-directory.ts'

export const checkpoints: Command = {
  name: 'checkpoints',
  summary: 'List the checkpoints of a state directory',
  description: `Lists the checkpoints that runs with --state DIR took, oldest first, with the reason why one failed, also while a run is on.
From those that are kept, a run can start: millrace run FILE --from-snapshot DIR@N.`,
  positionals: [{ name: 'DIR', help: 'the state directory of a run' }],
  flags: { json: { help: 'Print the list as JSON' } },
  examples: ['millrace checkpoints state', 'millrace checkpoints state --json'],
  async run(args) {
    const directory = checkStateDirectory(args.positionals[0]!)
    const { listCheckpoints } = await import('../embedded/inspect.ts')
    const found = await asUsage(() => listCheckpoints(directory))
    if (args.has('json')) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`)
    else if (found.length === 0) process.stdout.write(`no checkpoints in ${directory}\n`)
    else process.stdout.write(`${columns([['n', 'status', 'kept', 'started', 'took', 'size', 'reason'], ...found.map(row)])}\n`)
    return 0
  },
}

function row({ n, status, kept, startedAt, completedAt, bytes: size, reason }: CheckpointInfo): string[] {
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
