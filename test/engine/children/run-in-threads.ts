// One run of `busy` in two threads, on a state directory: what test/engine/threads.test.ts kills. Arguments: directory, inputs.
import { join } from 'node:path'
import { runEmbedded } from '../../../runtime/embedded/engine.ts'
import inThreads from './in-threads.ts'

const [dir, ...inputs] = process.argv.slice(2) as [string, ...string[]]
const data = { inputs, dir }
const { graph, ...bindings } = await inThreads(data)
await runEmbedded(graph, {
  ...bindings,
  parallelism: 2,
  threads: { count: 2, module: new URL('./in-threads.ts', import.meta.url), data },
  state: join(dir, 'state'),
  batchSize: 50,
  checkpointMs: 60,
  stateMemory: 20_000,
})
