import type { Upgrade } from '../graph/upgrade.ts'
import type { Arguments, Command } from './command.ts'
import { asUsage, UsageError } from './error.ts'
import { loadGraph } from './load.ts'
import { makePlan } from './plan.ts'
import { isSavepoint, withSavepoint } from './savepoint/place.ts'
import { withRun } from './stack/look.ts'
import { openStack, STACK_FLAGS } from './stack/stack.ts'
import { checkStateDirectory } from './state-directory.ts'
import { upgradeText } from './upgrade-text.ts'

/** Whose state it is. */
interface Former {
  readonly pipeline: string
  readonly shape: string
}

export const diff: Command = {
  name: 'diff',
  summary: 'Show what becomes of the state when new code takes it over',
  description: `Compares the pipeline that FILE exports with the one that has written a state directory, a savepoint or the state of a stack, and says of each operator's state whether it is kept, migrated, starts
empty, is dropped, or is refused, and why. Nothing is changed. millrace run and deployments check the same by themselves.
Exit code 0 if the new code can take the state over, 1 if it can't, or not without dropping some (--allow-drop).`,
  positionals: [{ name: 'FILE', help: 'the TypeScript file whose default export is the pipeline' }],
  flags: {
    state: { value: 'DIR', help: 'the state directory of a run' },
    snapshot: { value: 'PATH', help: "a savepoint's directory, or s3://BUCKET/KEY" },
    ...STACK_FLAGS,
    'allow-drop': { help: 'What nothing takes over may go: exit code 0 all the same' },
    json: { help: 'Print what becomes of each part as JSON' },
  },
  examples: [
    'millrace diff trending.ts --state state',
    'millrace diff trending.ts --snapshot before-the-sale',
    'millrace diff trending.ts --stack Shop --json',
  ],
  async run(args) {
    const [file] = args.positionals as [string]
    const where = whereOf(args)
    const graph = await loadGraph(file)
    const plan = await makePlan(graph, file, undefined)
    const found = await where.read()
    if (found.pipeline !== graph.name)
      throw new UsageError(`${where.name} belongs to pipeline '${found.pipeline}', and ${file} is '${graph.name}'`)
    const [{ shapeOf }, { upgradeOf }] = await Promise.all([import('../graph/shape.ts'), import('../checkpoint/upgrade.ts')])
    const upgrade = upgradeOf(found, { shape: shapeOf(plan) })
    const fits = !upgrade.fates.some(f => f.fate === 'refused' || (f.fate === 'dropped' && !args.has('allow-drop')))
    if (args.has('json'))
      process.stdout.write(`${JSON.stringify({ fits, newRun: !upgrade.sameLayout, states: upgrade.fates }, null, 2)}\n`)
    else process.stdout.write(`${upgradeText(upgrade)}\n${verdict(upgrade, fits, args.text('snapshot') !== undefined)}\n`)
    return fits ? 0 : 1
  },
}

function whereOf(args: Arguments): { readonly name: string; read(): Promise<Former> } {
  const [state, snapshot, stack] = [args.text('state'), args.text('snapshot'), args.text('stack')]
  if ([state, snapshot, stack].filter(given => given !== undefined).length !== 1)
    throw new UsageError('one of --state DIR, --snapshot PATH and --stack NAME is needed: what the new code is compared with')
  if (state !== undefined) return { name: state, read: () => ofDirectory(checkStateDirectory(state)) }
  if (snapshot !== undefined) return { name: snapshot, read: () => ofSavepoint(snapshot) }
  return { name: `the stack ${stack}`, read: async () => withRun((await openStack(args)).stack, async (_, meta) => meta) }
}

async function ofDirectory(directory: string): Promise<Former> {
  const { runOf } = await import('../embedded/inspect.ts')
  return asUsage(() => runOf(directory))
}

async function ofSavepoint(path: string): Promise<Former> {
  if (!isSavepoint(path)) throw new UsageError(`there is no savepoint ${path}; of a state directory, give --state`)
  return asUsage(() => withSavepoint(path, async ({ manifest }) => manifest))
}

/** Of a savepoint every start is a new run. */
function verdict({ fates, sameLayout }: Upgrade, fits: boolean, isSnapshot: boolean): string {
  if (fates.some(f => f.fate === 'refused')) return 'the new code is refused'
  if (!fits) return 'the new code is refused, unless what is dropped may go (--allow-drop)'
  if (isSnapshot) return 'a new run takes the state over'
  return sameLayout ? 'the run goes on in its own logs' : 'a new run takes its place, from the newest checkpoint'
}
