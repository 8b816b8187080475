import fc from 'fast-check'
import { globalWindow, session, sliding, type WindowAssigner } from '../../runtime/windows/assigners.ts'
import { countEvictor, type Evictor, timeEvictor } from '../../runtime/windows/evictors.ts'
import {
  continuousEventTime,
  continuousProcessingTime,
  onCount,
  onEventTime,
  onProcessingTime,
  purging,
  type Trigger,
} from '../../runtime/windows/triggers.ts'
import type { Element, Event, ModelOptions } from './model.ts'

/** The same windows for the engine and for the model. */
export interface Case {
  readonly assigner: WindowAssigner<number>
  readonly trigger: Trigger
  readonly evictor: Evictor<number> | undefined
  readonly model: ModelOptions
}

/** Records with disorder, equal timestamps and late ones, watermarks between them anywhere, the end. `step`: how far apart. */
export function events(time: 'event' | 'processing', end = Number.POSITIVE_INFINITY): fc.Arbitrary<Event[]> {
  const record = fc.record({
    kind: fc.constant('record' as const),
    key: fc.constantFrom('a', 'b', 'c'),
    value: fc.nat(9),
    at: fc.integer({ min: -8, max: 12 }),
  })
  const passing = fc.record({ kind: fc.constant('time' as const), by: fc.integer({ min: 0, max: time === 'event' ? 9 : 14 }) })
  return fc
    .array(fc.oneof({ weight: 3, arbitrary: record }, { weight: 2, arbitrary: passing }), { maxLength: 60, size: 'max' })
    .map(steps => {
      let now = -20
      const list: Event[] = [{ kind: 'time', to: now }]
      let id = 0
      for (const step of steps) {
        // values are unique, so that nothing is mistaken for something else
        if (step.kind === 'record')
          list.push({ kind: 'record', key: step.key, value: step.value + 10 * id++, timestamp: now + step.at })
        else {
          now += step.by
          list.push({ kind: 'time', to: now })
        }
      }
      list.push({ kind: 'time', to: end })
      return list
    })
}

export function fixed(): fc.Arbitrary<{ size: number; slide: number; offset: number }> {
  return fc
    .record({
      size: fc.integer({ min: 1, max: 12 }),
      slide: fc.integer({ min: 1, max: 14 }),
      shift: fc.integer({ min: -13, max: 13 }),
    })
    .map(({ size, slide, shift }) => ({ size, slide, offset: shift % slide }))
}

export function cases(time: 'event' | 'processing'): fc.Arbitrary<Case> {
  const windows = fc.oneof(
    fixed().map(f => ({
      model: { kind: 'sliding' as const, ...f },
      assigner: sliding(f.size, f.slide, { offset: f.offset, time }) as WindowAssigner<number>,
    })),
    fc
      .integer({ min: 1, max: 7 })
      .map(gap => ({ model: { kind: 'session' as const, gap: () => gap }, assigner: session<number>(gap, { time }) })),
    fc.constant({ model: { kind: 'session' as const, gap: gapOf }, assigner: session<number>(gapOf, { time }) }),
    fc.constant({ model: { kind: 'global' as const }, assigner: globalWindow() as WindowAssigner<number> }),
  )
  const triggers = fc.oneof(
    fc.constant({ model: { kind: 'end' as const }, trigger: time === 'event' ? onEventTime() : onProcessingTime() }),
    fc.integer({ min: 1, max: 4 }).map(n => ({ model: { kind: 'count' as const, n }, trigger: onCount(n) })),
    fc.integer({ min: 1, max: 8 }).map(ms => ({
      model: { kind: 'every' as const, ms },
      trigger: time === 'event' ? continuousEventTime(ms) : continuousProcessingTime(ms),
    })),
  )
  return fc
    .record({
      windows,
      triggers,
      purge: fc.boolean(),
      evict: evictors(),
      lateness: time === 'event' ? fc.constantFrom(0, 0, 3, 11) : fc.constant(0),
    })
    .filter(c => time === 'event' || c.windows.model.kind !== 'global')
    .map(c => ({
      assigner: c.windows.assigner,
      trigger: c.purge ? purging(c.triggers.trigger) : c.triggers.trigger,
      evictor: c.evict?.evictor,
      model: {
        windows: c.windows.model,
        time,
        trigger: c.triggers.model,
        purging: c.purge,
        evict: c.evict?.model,
        lateness: c.lateness,
      },
    }))
}

function gapOf(value: number): number {
  return 1 + (value % 6)
}

function evictors(): fc.Arbitrary<{ evictor: Evictor<number>; model: NonNullable<ModelOptions['evict']> } | undefined> {
  const after = fc.boolean()
  return fc.option(
    fc.oneof(
      fc.record({ after, n: fc.integer({ min: 1, max: 3 }) }).map(({ after, n }) => ({
        evictor: countEvictor(n, { after }),
        model: { after, keep: (elements: Element[]) => elements.filter((_, i) => i >= elements.length - n) },
      })),
      fc.record({ after, ms: fc.integer({ min: 1, max: 6 }) }).map(({ after, ms }) => ({
        evictor: timeEvictor(ms, { after }),
        model: {
          after,
          keep: (elements: Element[]) => elements.filter(e => elements.every(other => other.timestamp - e.timestamp < ms)),
        },
      })),
      after.map(after => {
        const own = { [after ? 'after' : 'before']: (elements: readonly Element[]) => elements.filter(e => e.value % 3 !== 0) }
        return {
          evictor: own as Evictor<number>,
          model: { after, keep: (elements: Element[]) => elements.filter(e => e.value % 3 !== 0) },
        }
      }),
    ),
    { nil: undefined },
  )
}
