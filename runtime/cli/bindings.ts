import { join, resolve } from 'node:path'
import { fileSink } from '../connectors/file-sink.ts'
import { fileSource } from '../connectors/file-source.ts'
import { refuseOwnInput } from '../connectors/own-input.ts'
import { print } from '../connectors/print.ts'
import type { Sink } from '../connectors/sink.ts'
import type { SourceConnector } from '../connectors/source.ts'
import { MillraceError } from '../errors.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import { list, suggest } from '../suggest.ts'
import { UsageError } from './error.ts'
import { checkDirectory, checkTarget } from './targets.ts'

export interface Bindings {
  readonly sources: Readonly<Record<string, SourceConnector>>
  readonly sinks: Readonly<Record<string, Sink<any>>>
  /** Of the sinks bound here: where they write. */
  readonly targets: Readonly<Record<string, string>>
}

/** What the command was given, as NAME=PATH. */
export interface Given {
  readonly sources: readonly string[]
  readonly sinks: readonly string[]
  /** The directory for every other sink. */
  readonly out: string | undefined
}

/** Puts files in the place of the pipeline's named sources and sinks. Throws UsageError for names, paths and files that can't be. */
export async function bind(graph: LogicalGraph, given: Given): Promise<Bindings> {
  const sources = bindSources(graph, given.sources)
  const targets = sinkTargets(graph, given.sinks, given.out)
  checkOwnTargets(graph, targets)
  await checkSources(graph, sources)
  const sinks = sinksOf(targets)
  usage(() =>
    refuseOwnInput(
      graph.nodes.flatMap(({ source }) => {
        const connector = source && (sources[source.name] ?? source.connector)
        return connector ? [[source.name, connector] as const] : []
      }),
      graph.nodes.flatMap(({ sink }) => (sink ? [[sink.name, sinks[sink.name] ?? sink.sink] as const] : [])),
    ),
  )
  return { sources, sinks, targets }
}

function bindSources(graph: LogicalGraph, pairs: readonly string[]): Record<string, SourceConnector> {
  const names = graph.nodes.flatMap(node => (node.source ? [node.source.name] : []))
  const paths = new Map<string, string[]>()
  for (const pair of pairs) {
    const [name, path] = split('source', pair, names, graph.name)
    paths.set(name, [...(paths.get(name) ?? []), path])
  }
  return Object.fromEntries([...paths].map(([name, files]) => [name, usage(() => fileSource(files))]))
}

/** Where each sink writes that a file is given. */
export function sinkTargets(graph: LogicalGraph, pairs: readonly string[], out: string | undefined): Record<string, string> {
  const names = graph.nodes.flatMap(node => (node.sink ? [node.sink.name] : []))
  const targets: Record<string, string> = {}
  for (const pair of pairs) {
    const [name, path] = split('sink', pair, names, graph.name)
    if (Object.hasOwn(targets, name))
      throw new UsageError(`the sink ${name} was given two files, ${targets[name]} and ${path}: it writes to one`)
    if (path !== '-') checkTarget(path, `--sink ${pair}`)
    targets[name] = path
  }
  if (out !== undefined) checkDirectory(out, `--out ${out}`)
  if (out !== undefined) for (const name of names) targets[name] ??= join(out, `${name}.ndjson`)
  const byPath = new Map<string, string>()
  for (const [name, path] of Object.entries(targets)) {
    const other = path === '-' ? undefined : byPath.get(resolve(path))
    if (other !== undefined)
      throw new UsageError(`the sinks ${other} and ${name} can't both write to ${path}: give each a file of its own`)
    byPath.set(resolve(path), name)
  }
  return targets
}

/** What is put in the place of the pipeline's sinks. */
export function sinksOf(targets: Readonly<Record<string, string>>): Record<string, Sink<any>> {
  return Object.fromEntries(
    Object.entries(targets).map(([name, path]) => [name, usage(() => (path === '-' ? print() : fileSink(path)))]),
  )
}

/** Of sinks that the pipeline itself gives a file. */
export function checkOwnTargets(graph: LogicalGraph, bound: Readonly<Record<string, string>>): void {
  for (const { sink } of graph.nodes)
    if (sink?.sink.file !== undefined && bound[sink.name] === undefined) checkTarget(sink.sink.file, `the sink ${sink.name}`)
}

function split(kind: 'source' | 'sink', pair: string, names: readonly string[], pipeline: string): [name: string, path: string] {
  const equals = pair.indexOf('=')
  const name = pair.slice(0, equals)
  const path = pair.slice(equals + 1)
  if (equals < 1 || path === '')
    throw new UsageError(
      `--${kind} ${pair}: NAME=PATH is needed, where NAME is one of the pipeline's ${kind}s${names.length > 0 ? ` (${list(names)})` : ''}`,
    )
  if (!names.includes(name)) throw new UsageError(`${pipeline} has no ${kind} '${name}'${suggest(name, names)}`)
  return [name, path]
}

/** Every source has to come from somewhere, and files have to be there before anything starts. */
async function checkSources(graph: LogicalGraph, bound: Readonly<Record<string, SourceConnector>>): Promise<void> {
  for (const { source } of graph.nodes) {
    if (source === undefined) continue
    const connector = bound[source.name] ?? source.connector
    if (connector === undefined)
      throw new UsageError(`the source ${source.name} has no connector: give it files with --source ${source.name}=PATH`)
    if (connector.kind !== 'file') continue
    await connector.splits().catch(error => {
      throw new UsageError(`the source ${source.name}: ${error.message}`, { cause: error })
    })
  }
}

/** What a connector refuses here was typed by the user. */
export function usage<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof MillraceError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}
