import type { SinkHandle } from '../api/sink.ts'
import type { SourceStream } from '../api/source.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import { suggest } from '../suggest.ts'
import { TestKitError } from './error.ts'

/** What sources and sinks of a pipeline are called. */
export interface Names {
  readonly sources: readonly string[]
  readonly sinks: readonly string[]
}

export function namesOf({ nodes }: LogicalGraph): Names {
  return { sources: nodes.flatMap(n => n.source?.name ?? []), sinks: nodes.flatMap(n => n.sink?.name ?? []) }
}

/** @throws TestKitError when there is no such source */
export function sourceName({ sources }: Names, source: string | SourceStream<any>): string {
  return known('source', sources, typeof source === 'string' ? source : source?.node?.source?.name)
}

/** @throws TestKitError when there is no such sink */
export function sinkName({ sinks }: Names, sink: string | SinkHandle<any>): string {
  return known('sink', sinks, typeof sink === 'string' ? sink : sink?.node?.sink?.name)
}

function known(kind: string, names: readonly string[], name: string | undefined): string {
  if (name !== undefined && names.includes(name)) return name
  throw new TestKitError(`the pipeline has no ${kind} '${name}'${suggest(String(name), names)}`)
}
