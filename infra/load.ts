import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { registerUserModules } from '../runtime/cli/user-modules.ts'
import { MillraceError } from '../runtime/errors.ts'
import type { LogicalGraph } from '../runtime/graph/graph.ts'
import { InfraError } from './error.ts'

const require = createRequire(import.meta.url)
let registered = false

/**
 * The graph that a pipeline file declares, synchronously: constructs are made in constructors. Node's `require` takes modules and TypeScript, but none that waits at
 * its top level.
 * @throws InfraError for whatever is wrong with the file
 */
export function loadPipeline(entry: string, environment: Readonly<Record<string, string>> = {}): LogicalGraph {
  const path = resolve(entry)
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new InfraError(`entry: there is no file ${path}; the path is relative to where cdk runs`)
  if (!registered) registerUserModules()
  registered = true
  const module = withEnvironment(environment, () => importFile(path, entry))
  // The second is what a compiler to CommonJS makes of `export default`.
  const app = module.default as { graph?: () => LogicalGraph; default?: { graph?: () => LogicalGraph } } | undefined
  const make = typeof app?.graph === 'function' ? app : app?.default
  if (typeof make?.graph !== 'function')
    throw new InfraError(`${entry} doesn't export a pipeline: end it with \`export default app\`, where app = pipeline('...')`)
  return naming(entry, () => make.graph!())
}

/** What the pipeline refuses names the operator and the remedy; this adds the file. */
export function naming<T>(entry: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof MillraceError && !(error instanceof InfraError))
      throw new InfraError(`${entry}: ${error.message}`, { cause: error })
    throw error
  }
}

/** A file may look at its environment when it is imported: it then sees here what it will see in the functions. */
function withEnvironment<T>(environment: Readonly<Record<string, string>>, work: () => T): T {
  const before = { ...process.env }
  Object.assign(process.env, environment)
  try {
    return work()
  } finally {
    for (const name of Object.keys(environment)) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  }
}

function importFile(path: string, shown: string): { default?: unknown } {
  try {
    return require(path)
  } catch (error) {
    throw new InfraError(`${shown} ${problem(error)}`, { cause: error })
  }
}

function problem(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)} when it was imported`
  const { code } = error as NodeJS.ErrnoException
  const first = error.message.split('\n').find(line => line.trim() !== '') ?? error.name
  if (code === 'ERR_REQUIRE_ASYNC_MODULE')
    return 'or a file that it imports waits at its top level (`await` outside of a function), which a pipeline to be deployed must not: do it in a function'
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') return `imports something that can't be found: ${first}`
  if (error instanceof SyntaxError) return `has a syntax error: ${first}`
  return `threw when it was imported: ${first}`
}
