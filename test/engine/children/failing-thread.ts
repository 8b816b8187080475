// Threads that fail, each in its way (test/engine/threads.test.ts).
import { customSink } from '../../../runtime/index.ts'
import { pipelines } from '../pipelines.ts'
import inThreads, { type Where } from './in-threads.ts'

export default async function failing({ fail, ...where }: Where & { readonly fail: 'sink' | 'exit' | 'pipeline' }) {
  const made = await inThreads(where)
  if (fail === 'pipeline') return { ...made, graph: Object.values(pipelines)[0]!().graph() }
  const write = () => {
    if (fail === 'exit') process.exit(3)
    throw new Error('the sink is closed for today')
  }
  const sink = customSink({ name: 'failing', open: () => ({ write, flush: async () => undefined }) })
  return { ...made, sinks: Object.fromEntries(Object.keys(made.sinks).map(name => [name, sink])) }
}
