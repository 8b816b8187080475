import assert from 'node:assert/strict'
import { userKey } from '../../runtime/graph/key.ts'
import type { KeyedOperator } from '../../runtime/operators/keyed-operator.ts'
import type { StateDeclaration } from '../../runtime/state/declaration.ts'
import { DELETED } from '../../runtime/state/entry.ts'
import type { AggregateFunction } from '../../runtime/windows/aggregate.ts'
import type { ProcessWindowFunction, WindowFunction } from '../../runtime/windows/options.ts'
import { Harness, type Out } from '../operators/harness.ts'
import type { Event, ModelResult } from './model.ts'

export interface Driven {
  readonly results: ModelResult[]
  readonly late: { key: string; value: number }[]
  readonly harness: Harness<KeyedOperator>
}

/** Both general forms have this state, whatever `windowStates` would choose. */
export const GENERAL_STATES: StateDeclaration[] = [
  { name: 'windows', primitive: 'map', load: 'all' },
  { name: 'elements', primitive: 'map', load: 'entry' },
]

export const LATE = { id: 'late' }

/** Plays events to an operator. `cold`: after these events everything is written away and forgotten. */
export async function drive(
  operator: KeyedOperator,
  states: readonly StateDeclaration[],
  events: readonly Event[],
  time: 'event' | 'processing' = 'event',
  cold: (event: number) => boolean = () => false,
): Promise<Driven> {
  const harness = await Harness.open(operator, states)
  let now = Number.NEGATIVE_INFINITY
  for (let i = 0; i < events.length; i++) {
    const event = events[i]!
    if (event.kind === 'record') harness.record(event.value, event.timestamp, event.key)
    else if (event.to > now) {
      now = event.to
      if (time === 'event') harness.watermark(now)
      else {
        await harness.drain()
        harness.clock.time = now
        await operator.fireProcessingTimers(now)
      }
    }
    if (cold(i)) await harness.commit()
  }
  await harness.drain()
  return { results: harness.out.map(result), late: (harness.sides.get(LATE.id) ?? []).map(lateRecord), harness }
}

/** Nothing is left: no window, no element, no timer. */
export function assertEmpty({ harness }: Driven): void {
  for (const entry of harness.state.entries.values()) {
    for (const slot of entry.values) {
      const live = [...(slot?.entries ?? [])].filter(([, value]) => value !== DELETED)
      assert.deepEqual(live, [])
    }
  }
  assert.equal(harness.operator.eventTimers.size, 0)
  assert.equal(harness.operator.processingTimers.size, 0)
}

/** An aggregate that shows what it has seen; changes accumulators in place. `sorted`: panes add up by time, not by arrival. */
export function collect(sorted: boolean): AggregateFunction<number, number[], number[]> {
  return {
    createAccumulator: () => [],
    add: (acc, value) => {
      acc.push(value)
      return acc
    },
    merge: (a, b) => {
      a.push(...b)
      return a
    },
    getResult: acc => (sorted ? [...acc].sort((a, b) => a - b) : [...acc]),
  }
}

export const withWindow: WindowFunction<number[], unknown> = (values, { key, window }) => ({ key, ...window, values })

export const processed: ProcessWindowFunction<number, unknown> = (values, { key, window, emit }) =>
  emit({ key, ...window, values: [...values] })

export function sortValues(results: readonly ModelResult[]): ModelResult[] {
  return results.map(r => ({ ...r, values: [...r.values].sort((a, b) => a - b) }))
}

function result(out: Out): ModelResult {
  assert.deepEqual(out.value.key, userKey(out.key))
  return { ...out.value, timestamp: out.timestamp }
}

function lateRecord(out: Out): { key: string; value: number } {
  return { key: out.key, value: out.value }
}
