import { fileSource } from 'millrace'
import { discardingSink } from './discarding-sink.ts'
import type { RunSettings } from './measured.ts'
import { loadQuery } from './reference/run.ts'

/** A query with its input, as each thread of its run makes it. */
export default async function query({ query, events, boundMs }: RunSettings) {
  return {
    graph: (await loadQuery(query, boundMs)).graph(),
    sources: { events: fileSource(events) },
    sinks: { results: discardingSink() },
  }
}
