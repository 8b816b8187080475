import { systemClock } from '../embedded/clock.ts'
import type { Arguments, Command, Flag } from './command.ts'
import { UsageError } from './error.ts'
import type { Control } from './stack/control.ts'
import type { Snapshot } from './stack/snapshot.ts'
import { openStack, STACK_FLAGS, type Stack } from './stack/stack.ts'
import { startStack } from './stack/stop-stack.ts'
import { tellRun } from './stack/tell.ts'
import { waiting } from './stack/waiting.ts'

/** Of commands that have a stack begin a new run. */
export const RESTORE_FLAGS: Readonly<Record<string, Flag>> = {
  'new-input': {
    help: 'Only the state is taken: the sources read other streams than those that the snapshot was made by, from their beginning',
  },
  replace: { help: 'The run that the stack has may end, though it did not begin with this snapshot: its state is given up' },
  'allow-drop': { help: 'State of operators that the pipeline has no more may go' },
}

export const start: Command = {
  name: 'start',
  summary: 'Start a pipeline on AWS that was stopped, where it was or from a snapshot',
  description: `Has the pipeline of a stack go on where millrace stop stopped it. A deployed pipeline runs by itself: this is needed after a stop only.
Checkpoints are taken again, the first one within a minute, or after the interval if that is longer.
What its sources' streams have dropped in the meantime (their retention is a day, unless it was set) is lost: then the stage says so, and does not go on.
With --from-snapshot, the stack begins a new run: from a savepoint, wherever it was taken, from a checkpoint of another stack of the same pipeline, or from one of its own, to which it
then goes back. Positions in Kinesis streams go on: the sources read their streams on from there, wherever their mappings stand, as far as the streams have kept them; if
not, that is said before anything is changed. Of a savepoint that was not taken of a stack only the state is taken, as with --new-input, and the streams are read from their beginning.
Going back, S3 objects of later checkpoints are taken away again; from another snapshot the sinks begin anew. The same command again, after it was cut off, goes on.`,
  positionals: [],
  flags: {
    ...STACK_FLAGS,
    'from-snapshot': {
      value: 'PATH',
      help: "A savepoint: a directory or s3://BUCKET/KEY. stack:NAME[@N]: checkpoint N (default: the newest) of a stack, also this one's own",
    },
    ...RESTORE_FLAGS,
  },
  examples: [
    'millrace start --stack Shop',
    'millrace start --stack Shop --from-snapshot stack:Shop@41',
    'millrace start --stack Shop --from-snapshot s3://my-savepoints/shop-1',
  ],
  async run(args) {
    const text = args.text('from-snapshot')
    for (const flag of Object.keys(RESTORE_FLAGS))
      if (text === undefined && args.has(flag)) throw new UsageError(`--${flag} goes with --from-snapshot only`)
    const { control, stack } = await openStack(args)
    const { snapshotAt } = await import('./stack/snapshot.ts')
    await startFrom(control, stack, text === undefined ? undefined : await snapshotAt(text, stack, control), args)
    return 0
  },
}

/** Starts a stack: where it was, or from a snapshot. */
export async function startFrom(control: Control, stack: Stack, snapshot: Snapshot | undefined, args: Arguments): Promise<void> {
  const [{ withPorts }, { restoreStack }, { joinSources }] = await Promise.all([
    import('./stack/look.ts'),
    import('./stack/restore-stack.ts'),
    import('./stack/join-sources.ts'),
  ])
  const progress = waiting(process.stderr)
  const tell = (what: string) => progress.update(0, what)
  const options = { newInput: args.has('new-input'), replace: args.has('replace'), allowDrop: args.has('allow-drop') }
  const restored = await withPorts(stack, async ports => {
    const found = snapshot && (await restoreStack(control, stack, ports, snapshot, options, tell))
    await startStack(control, stack, systemClock, tellRun(stack), () => joinSources(control, stack, ports, tell))
    return found
  }).finally(progress.clear)
  const from = restored === undefined ? '' : `, ${restored.resumed ? 'as it did before, ' : ''}from ${restored.from}`
  process.stdout.write(`${stack.pipeline} runs${from}\n`)
}
