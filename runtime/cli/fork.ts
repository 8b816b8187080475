import type { Command } from './command.ts'
import { UsageError } from './error.ts'
import { positiveInteger } from './parse.ts'
import { findStack, openStack, STACK_FLAGS } from './stack/stack.ts'
import { RESTORE_FLAGS, startFrom } from './start.ts'

export const fork: Command = {
  name: 'fork',
  summary: 'Start a copy of a pipeline on AWS from one of its checkpoints',
  description: `Has another stack of the same pipeline begin with a checkpoint of this one, which runs on untouched. The other one is deployed as the first was, under a name of its own, and with
sinks that write elsewhere; it has streams, tables and a bucket of its own, and has to be stopped. Where both read the same Kinesis streams, the copy reads them on from the checkpoint, at its own pace,
as far as the streams have kept them. Which checkpoints are kept: millrace checkpoints --stack NAME. It is the same as millrace start --stack OTHER --from-snapshot stack:NAME@N.
Of a state directory: millrace run FILE --from-snapshot DIR --state OTHER.`,
  positionals: [],
  flags: {
    ...STACK_FLAGS,
    checkpoint: { value: 'N', help: 'The checkpoint to begin with (default: the newest)' },
    to: { value: 'OTHER', help: 'The stack that is to be the copy; OTHER/PIPELINE of a stack with several pipelines' },
    ...RESTORE_FLAGS,
  },
  examples: ['millrace fork --stack Shop --to ShopTrial', 'millrace fork --stack Shop --checkpoint 41 --to ShopTrial'],
  async run(args) {
    const to = args.text('to')
    if (to === undefined) throw new UsageError('--to OTHER is needed: the stack that is to be the copy')
    const checkpoint = positiveInteger(args, 'checkpoint')
    const { control, stack } = await openStack(args)
    const [name, pipeline] = to.split('/') as [string, string | undefined]
    const copy = await findStack(control, name, pipeline)
    const { checkpointOf } = await import('./stack/snapshot.ts')
    const snapshot = checkpointOf(args.text('stack')!, stack, checkpoint, copy)
    if (snapshot.own) throw new UsageError(`--to ${to} is the stack itself: millrace start --from-snapshot goes back in it`)
    await startFrom(control, copy, snapshot, args)
    return 0
  },
}
