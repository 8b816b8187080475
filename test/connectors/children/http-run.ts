// What the kill test of the HTTP sink starts: one run on a state directory whose sinks are at a server. Arguments: input, state directory, URL.
import { fileSource } from '../../../runtime/connectors/file-source.ts'
import { httpSink } from '../../../runtime/connectors/http-sink.ts'
import { runEmbedded } from '../../../runtime/embedded/engine.ts'
import { busy } from '../../engine/children/busy.ts'

const [input, state, url] = process.argv.slice(2)
const graph = busy().graph()
const sinks = Object.fromEntries(
  graph.nodes.flatMap(n => (n.sink === undefined ? [] : [[n.sink.name, httpSink({ url: `${url}/${n.sink.name}`, batch: 7 })]])),
)
await runEmbedded(graph, {
  sources: { events: fileSource([input!]) },
  sinks,
  parallelism: 2,
  state: state!,
  batchSize: 50,
  checkpointMs: 60,
})
