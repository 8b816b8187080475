import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MillraceError } from '../errors.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import { UsageError } from './error.ts'
import { registerUserModules } from './user-modules.ts'

/** Imports a pipeline file and gives the graph that it declares. Throws UsageError, in one sentence, for whatever is wrong with the file. */
export async function loadGraph(file: string): Promise<LogicalGraph> {
  const path = resolve(file)
  checkFile(path, file)
  registerUserModules()
  const module = await importFile(path, file)
  // The second is what a compiler to CommonJS makes of `export default`.
  const graph = graphOf(module.default, file) ?? graphOf((module.default as { default?: unknown } | undefined)?.default, file)
  if (graph === undefined)
    throw new UsageError(`${file} doesn't export a pipeline: end it with \`export default app\`, where app = pipeline('...')`)
  return graph
}

function checkFile(path: string, shown: string): void {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) throw new UsageError(`there is no file ${shown}`)
  if (stats.isDirectory()) throw new UsageError(`${shown} is a directory: name the file that declares the pipeline`)
  if (!/\.(ts|mts|js|mjs)$/.test(path))
    throw new UsageError(`${shown} is no TypeScript or JavaScript module: its name should end in .ts, .mts, .js or .mjs`)
}

async function importFile(path: string, shown: string): Promise<{ default?: unknown }> {
  try {
    return await import(pathToFileURL(path).href)
  } catch (error) {
    throw new UsageError(importProblem(error, path, shown), { cause: error })
  }
}

function importProblem(error: unknown, path: string, shown: string): string {
  // What the API refuses names the operator and the remedy already.
  if (error instanceof MillraceError) return `${shown}: ${error.message}`
  if (!(error instanceof Error)) return `${shown} threw ${String(error)} when it was imported`
  const code = (error as NodeJS.ErrnoException).code
  const first = error.message.split('\n').find(line => line.trim() !== '') ?? error.name
  const at = lineOf(error, path)
  if (error instanceof SyntaxError) return `${shown}${at} has a syntax error: ${first}`
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED')
    return `${shown} imports something that can't be found: ${first}`
  return `${shown}${at} threw when it was imported: ${first}`
}

/** `:12`, if the stack knows the line of the file. */
function lineOf(error: Error, path: string): string {
  const stack = error.stack ?? ''
  for (const name of [pathToFileURL(path).href, path]) {
    const at = stack.indexOf(`${name}:`)
    const line = at === -1 ? undefined : /^:(\d+)/.exec(stack.slice(at + name.length))?.[1]
    if (line !== undefined) return `:${line}`
  }
  return ''
}

/** Told by what it can do, not by instanceof: the file may have imported another copy of this package. */
function graphOf(app: unknown, shown: string): LogicalGraph | undefined {
  const make = (app as { graph?: unknown } | null | undefined)?.graph
  if (typeof make !== 'function') return undefined
  try {
    const graph = make.call(app) as LogicalGraph | undefined
    return Array.isArray(graph?.nodes) ? graph : undefined
  } catch (error) {
    throw new UsageError(`${shown}: ${(error as Error).message}`, { cause: error })
  }
}
