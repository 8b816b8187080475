import type { Sink, SinkState } from '../connectors/sink.ts'

/** A record that a sink was given. */
export interface TestRecord<T = any> {
  /** As the sink got it. */
  readonly value: T
  /** Event time, epoch ms. */
  readonly timestamp: number
  /** That it runs under; undefined in a stream without keys. */
  readonly key: unknown
}

/** What one flush has staged, behind what was staged before it. */
interface Staged {
  readonly before: string
  readonly order: number
  readonly records: readonly TestRecord[]
}

/** Sinks that keep what they are given, each commit's records under a name that the commit keeps as its sink state: so what counts is what is committed, as with any other sink. */
export interface Collector {
  sink(name: string): Sink<any>
  /** The records behind the sink states of some subtasks' last commits, in the order in which they were written. */
  recordsOf(states: readonly (SinkState | undefined)[]): TestRecord[]
}

export function openCollector(): Collector {
  const staged = new Map<string, Staged>()
  return {
    sink: name => ({
      kind: 'test',
      async open(_context, state) {
        let last = String(state?.last ?? '')
        let records: TestRecord[] = []
        return {
          write: (value, { timestamp, key }) => void records.push({ value, timestamp, key }),
          async flush() {
            if (records.length === 0) return undefined
            const id = String(staged.size + 1)
            staged.set(id, { before: last, order: staged.size, records })
            records = []
            last = id
            return { last }
          },
          async close() {},
        }
      },
      describe: () => `the test, as ${name}`,
    }),
    recordsOf(states) {
      const chosen: Staged[] = []
      for (const state of states)
        for (let at = staged.get(String(state?.last ?? '')); at !== undefined; at = staged.get(at.before)) chosen.push(at)
      return chosen.sort((a, b) => a.order - b.order).flatMap(({ records }) => records)
    },
  }
}
