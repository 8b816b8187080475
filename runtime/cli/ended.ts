import type { SourceConnector } from '../connectors/source.ts'
import type { RunSummary } from '../embedded/run-options.ts'
import type { LogicalGraph } from '../graph/graph.ts'

/** A split that was not read because it had ended before, and how it has changed since. */
export interface Unread {
  readonly source: string
  readonly split: string
  readonly change: string | undefined
}

/** What a resumed run left unread: every split, if none was left to be read, and else those that have changed since they ended. */
export async function unread(
  summary: RunSummary,
  graph: LogicalGraph,
  bound: Readonly<Record<string, SourceConnector>>,
): Promise<Unread[]> {
  const found = await Promise.all(
    summary.endedBefore.map(async ({ source, split, position }) => {
      const connector = bound[source] ?? graph.nodes.find(n => n.source?.name === source)?.source?.connector
      return { source, split, change: position && (await connector?.changed?.(split, position)) }
    }),
  )
  return summary.nothingToRead ? found : found.filter(u => u.change !== undefined)
}
