import { systemClock, systemRandom } from '../embedded/clock.ts'
import type { Clock, Random } from '../ports.ts'
import { type Call, caller } from './call.ts'
import { meters } from './meter.ts'

/** How a sink calls its service. */
export interface SinkCalls<C> {
  readonly client: C
  readonly call: Call
  readonly clock: Clock
  readonly random: Random
}

/** No connection before it is used: a pipeline is also declared to be planned, or to run elsewhere. */
export function lazyCalls<C>(open: () => C): () => SinkCalls<C> {
  let calls: SinkCalls<C> | undefined
  return () => {
    calls ??= {
      client: open(),
      call: caller({ clock: systemClock, random: systemRandom, meters: meters() }),
      clock: systemClock,
      random: systemRandom,
    }
    return calls
  }
}
