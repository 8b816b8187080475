// What each thread of a run of `busy` makes (test/engine/threads.test.ts): data are the inputs and the directory of the sinks' files.
import { join } from 'node:path'
import { fileSink } from '../../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../../runtime/connectors/file-source.ts'
import { busy } from './busy.ts'

export interface Where {
  readonly inputs: readonly string[]
  readonly dir: string
}

export default async function inThreads({ inputs, dir }: Where) {
  const graph = busy().graph()
  const names = graph.nodes.flatMap(n => n.sink?.name ?? [])
  return {
    graph,
    sources: { events: fileSource(inputs) },
    sinks: Object.fromEntries(names.map(name => [name, fileSink(join(dir, `${name}.ndjson`))])),
  }
}
