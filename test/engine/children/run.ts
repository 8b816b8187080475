// What the kill test starts: one run of the pipeline on a state directory. Arguments: input, directory, parallelism, sink directory, input of sinks.
import { join } from 'node:path'
import { fileSink } from '../../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../../runtime/connectors/file-source.ts'
import { runEmbedded } from '../../../runtime/embedded/engine.ts'
import { busy } from './busy.ts'

const [input, dir, parallelism] = process.argv.slice(2)
const graph = busy().graph()
const sinks = Object.fromEntries(
  graph.nodes.flatMap(n => (n.sink === undefined ? [] : [[n.sink.name, fileSink(join(dir!, `${n.sink.name}.ndjson`))]])),
)
await runEmbedded(graph, {
  sources: { events: fileSource([input!]) },
  sinks,
  parallelism: Number(parallelism),
  state: join(dir!, 'state'),
  batchSize: 50,
  checkpointMs: 60,
  stateMemory: 20_000,
})
