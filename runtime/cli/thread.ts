/** What each thread of `millrace run --threads` makes of the command's words: the same pipeline, with the same files bound. */
import type { ThreadModule } from '../embedded/threads/threads.ts'
import { bind, type Given } from './bindings.ts'
import { loadGraph } from './load.ts'

export interface ThreadData {
  readonly file: string
  readonly given: Given
}

const load: ThreadModule = async ({ file, given }: ThreadData) => {
  const graph = await loadGraph(file)
  const { sources, sinks } = await bind(graph, given)
  return { graph, sources, sinks }
}

export default load
