import { setTimeout } from 'node:timers/promises'
import type { Streams } from '../../runtime/ports.ts'
import { dueMs, eventLine, eventsOf, type FailoverSettings, now } from './settings.ts'
import { OWN_STREAM } from './stand-in.ts'

const STEP_MS = 5

/** Puts each event when it is due. */
export async function feed(streams: Streams, settings: FailoverSettings, startedAt: number): Promise<void> {
  const events = eventsOf(settings)
  for (let id = 0; id < events; ) {
    for (; id < events && dueMs(id, startedAt, settings.rate) <= now(); id++)
      await streams.put(OWN_STREAM, 0, Buffer.from(eventLine(id)))
    await setTimeout(STEP_MS)
  }
}
