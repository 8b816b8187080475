import { monotonous, ndjson, type Pipeline, pipeline, print, value } from 'millrace'

export interface Seen {
  readonly id: number
  readonly user: string
}

/** As fast as a schema can be. */
const EVENT = {
  '~standard': { version: 1, vendor: 'bench', validate: (event: unknown) => ({ value: event as Seen }) },
} as const

/** A running count of each user's events, with `onRecord` called for each that the stage with the counts sees. flink/Failover.java is the same. */
export function runningCounts(onRecord: (id: number) => void = () => {}): Pipeline {
  const app = pipeline('failover')
  app
    .source('events', ndjson<Seen>(EVENT as never), { time: e => e.id, watermark: monotonous() })
    .keyBy('user')
    .process({
      state: { count: value<number>() },
      onRecord(event, { state }) {
        onRecord(event.id)
        const count = (state.count.get() ?? 0) + 1
        state.count.set(count)
        return [{ id: event.id, user: event.user, count }]
      },
    })
    .sink('counts', print())
  return app
}
