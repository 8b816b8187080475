import { MillraceError } from '../errors.ts'
import type { StateFigures } from '../graph/backend-advice.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import type { Command } from './command.ts'
import { UsageError } from './error.ts'
import { loadGraph } from './load.ts'
import { positiveInteger } from './parse.ts'
import { checkStateDirectory } from './state-directory.ts'

export const plan: Command = {
  name: 'plan',
  summary: 'Show the stages of a pipeline',
  description: `Shows how the pipeline that FILE exports is cut into stages: their operators, keys and parallelism, and why each shuffle is there.
Nothing is run and no source is opened. The last line says which state backend fits: with --state by how much a run of the pipeline keeps there.`,
  positionals: [{ name: 'FILE', help: 'the TypeScript file whose default export is the pipeline' }],
  flags: {
    json: { help: 'Print the plan itself, as JSON' },
    mermaid: { help: 'Print a drawing for Mermaid' },
    parallelism: { value: 'N', help: 'Subtasks of each stage whose operators set none' },
    state: {
      value: 'DIR',
      help: 'Count the state of the run in DIR, as of its last checkpoint, to say which state backend fits',
    },
  },
  examples: ['millrace plan trending.ts', 'millrace plan trending.ts --mermaid > plan.mmd'],
  async run(args) {
    const [file] = args.positionals as [string]
    if (args.has('json') && args.has('mermaid')) throw new UsageError("--json and --mermaid can't both be printed: choose one")
    const parallelism = positiveInteger(args, 'parallelism')
    const made = await makePlan(await loadGraph(file), file, parallelism)
    const print = await import('../graph/print.ts')
    const { adviseBackend, adviceText } = await import('../graph/backend-advice.ts')
    const advice = adviseBackend(made, await figuresOf(args.text('state')))
    const text = args.has('json')
      ? print.planJson(made, { stateBackend: advice })
      : args.has('mermaid')
        ? print.planMermaid(made)
        : `${print.planText(made)}\n${adviceText(advice)}\n`
    process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
    return 0
  },
}

async function figuresOf(directory: string | undefined): Promise<StateFigures | undefined> {
  if (directory === undefined) return undefined
  checkStateDirectory(directory)
  const [{ withCheckpoint }, { largestState }] = await Promise.all([
    import('../embedded/inspect.ts'),
    import('../inspect/entries.ts'),
  ])
  return withCheckpoint(directory, undefined, largestState)
}

/** The planner's refusals are mistakes in the pipeline file. */
export async function makePlan(graph: LogicalGraph, file: string, parallelism: number | undefined) {
  const { planPhysical } = await import('../graph/planner.ts')
  try {
    return planPhysical(graph, { parallelism, chaining: true })
  } catch (error) {
    if (error instanceof MillraceError) throw new UsageError(`${file}: ${error.message}`, { cause: error })
    throw error
  }
}
