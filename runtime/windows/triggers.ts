import { type Duration, positiveDuration } from '../api/duration.ts'
import { MillraceError } from '../errors.ts'
import { maxTimestamp, type TimeWindow } from './window.ts'

/** What happens to a window: nothing, a result, forgetting its contents, or both in this order. */
export type TriggerResult = 'CONTINUE' | 'FIRE' | 'PURGE' | 'FIRE_AND_PURGE'

/** What a trigger can do, for the window (and key) that it is asked about. */
export interface TriggerContext {
  /** Event time has come this far; Infinity once the input has ended. */
  readonly currentWatermark: number
  /** Epoch ms. */
  processingTime(): number
  /** Sets a timer (epoch ms), once: `onEventTime` is called when the watermark reaches it. */
  registerEventTime(at: number): void
  /** Sets a timer (epoch ms), once: `onProcessingTime` is called when the clock reaches it. */
  registerProcessingTime(at: number): void
  /** `at`: as it was registered. */
  deleteEventTime(at: number): void
  /** `at`: as it was registered. */
  deleteProcessingTime(at: number): void
  /** The trigger's own state for this window, by name. Plain data. */
  get(name: string): any
  /** `undefined` forgets it. */
  set(name: string, value: unknown): void
}

/** For `onMerge`: the context of the merged window, and what the windows that went into it had. */
export interface MergeContext extends TriggerContext {
  /** The states under this name of those windows that had one, earliest window first. */
  merged(name: string): any[]
}

/**
 * Decides when a window gives a result. Write your own, or use onEventTime, onProcessingTime, onCount, continuousEventTime,
 * continuousProcessingTime and purging.
 *
 * @example
 * const atOnceIfUrgent: Trigger<Alert> = {
 *   ...onEventTime(),
 *   onElement: (alert, timestamp, window, ctx) =>
 *     alert.urgent ? 'FIRE' : onEventTime().onElement(alert, timestamp, window, ctx),
 * }
 */
export interface Trigger<T = any> {
  /** A record has come into the window. */
  onElement(value: T, timestamp: number, window: TimeWindow, ctx: TriggerContext): TriggerResult
  /** The watermark has reached a timer that the trigger set (epoch ms). */
  onEventTime(at: number, window: TimeWindow, ctx: TriggerContext): TriggerResult
  /** The clock has reached a timer that the trigger set (epoch ms). */
  onProcessingTime(at: number, window: TimeWindow, ctx: TriggerContext): TriggerResult
  /**
   * Several sessions have become `window`. Their timers and states have been cleared: set those of the merged window. Without it,
   * the trigger can't be used with session windows.
   */
  onMerge?(window: TimeWindow, ctx: MergeContext): void
  /** The window is over: delete the timers that may still be set, and the state. */
  clear(window: TimeWindow, ctx: TriggerContext): void
}

/** Fires when the watermark passes the window's end, and again for each late record within the allowed lateness. The default in event time. */
export function onEventTime(): Trigger {
  return EVENT_TIME
}

/** Fires when the machine's clock passes the window's end. The default in processing time. */
export function onProcessingTime(): Trigger {
  return PROCESSING_TIME
}

/** Fires whenever `n` more records are in. */
export function onCount(n: number): Trigger {
  if (!Number.isInteger(n) || n <= 0) throw new MillraceError(`onCount(${n}): the number of records must be whole and above 0`)
  return {
    onElement(_value, _timestamp, _window, ctx) {
      const count = (ctx.get('count') ?? 0) + 1
      ctx.set('count', count >= n ? undefined : count)
      return count >= n ? 'FIRE' : 'CONTINUE'
    },
    onEventTime: () => 'CONTINUE',
    onProcessingTime: () => 'CONTINUE',
    onMerge(_window, ctx) {
      const counts = ctx.merged('count') as number[]
      if (counts.length > 0)
        ctx.set(
          'count',
          counts.reduce((a, b) => a + b),
        )
    },
    clear: (_window, ctx) => ctx.set('count', undefined),
  }
}

/** Fires every `interval` of event time, on multiples of it, while the window lasts, and at its end. */
export function continuousEventTime(interval: Duration): Trigger {
  return continuous('event', positiveDuration(interval, 'continuousEventTime interval'))
}

/** Fires every `interval` of processing time, on multiples of it, while the window lasts. */
export function continuousProcessingTime(interval: Duration): Trigger {
  return continuous('processing', positiveDuration(interval, 'continuousProcessingTime interval'))
}

/** The same trigger, but what has been fired is forgotten: each result holds only what came since the last. */
export function purging<T>(trigger: Trigger<T>): Trigger<T> {
  if (typeof trigger?.onElement !== 'function')
    throw new MillraceError('purging was given no trigger: write purging(onCount(100))')
  const purge = (result: TriggerResult): TriggerResult => (result === 'FIRE' ? 'FIRE_AND_PURGE' : result)
  return {
    onElement: (value, timestamp, window, ctx) => purge(trigger.onElement(value, timestamp, window, ctx)),
    onEventTime: (at, window, ctx) => purge(trigger.onEventTime(at, window, ctx)),
    onProcessingTime: (at, window, ctx) => purge(trigger.onProcessingTime(at, window, ctx)),
    onMerge: trigger.onMerge === undefined ? undefined : (window, ctx) => trigger.onMerge!(window, ctx),
    clear: (window, ctx) => trigger.clear(window, ctx),
  }
}

/** Never fires: what global windows have until the user names a trigger. */
export function never(): Trigger {
  return NEVER
}

const EVENT_TIME: Trigger = {
  onElement(_value, _timestamp, window, ctx) {
    if (maxTimestamp(window) <= ctx.currentWatermark) return 'FIRE'
    ctx.registerEventTime(maxTimestamp(window))
    return 'CONTINUE'
  },
  onEventTime: (at, window) => (at === maxTimestamp(window) ? 'FIRE' : 'CONTINUE'),
  onProcessingTime: () => 'CONTINUE',
  onMerge(window, ctx) {
    // a merged window that has ended already is fired by the record that merged it
    if (maxTimestamp(window) > ctx.currentWatermark) ctx.registerEventTime(maxTimestamp(window))
  },
  clear: (window, ctx) => ctx.deleteEventTime(maxTimestamp(window)),
}

const PROCESSING_TIME: Trigger = {
  onElement(_value, _timestamp, window, ctx) {
    ctx.registerProcessingTime(maxTimestamp(window))
    return 'CONTINUE'
  },
  onEventTime: () => 'CONTINUE',
  onProcessingTime: (at, window) => (at === maxTimestamp(window) ? 'FIRE' : 'CONTINUE'),
  onMerge: (window, ctx) => ctx.registerProcessingTime(maxTimestamp(window)),
  clear: (window, ctx) => ctx.deleteProcessingTime(maxTimestamp(window)),
}

const NEVER: Trigger = {
  onElement: () => 'CONTINUE',
  onEventTime: () => 'CONTINUE',
  onProcessingTime: () => 'CONTINUE',
  onMerge() {},
  clear() {},
}

/** The time of the next firing is the state `next`; merged windows fire at the earliest of theirs. */
function continuous(domain: 'event' | 'processing', interval: number): Trigger {
  const event = domain === 'event'
  const register = (at: number, ctx: TriggerContext) => (event ? ctx.registerEventTime(at) : ctx.registerProcessingTime(at))
  const schedule = (after: number, window: TimeWindow, ctx: TriggerContext) => {
    const next = after - mod(after, interval) + interval
    const last = maxTimestamp(window)
    // processing time may be past an event-time window's end long before the window is over
    const at = after <= last && next > last ? last : next
    ctx.set('next', at)
    register(at, ctx)
  }
  const onTimer = (at: number, window: TimeWindow, ctx: TriggerContext): TriggerResult => {
    const last = maxTimestamp(window)
    if (at !== ctx.get('next')) return event && at === last ? 'FIRE' : 'CONTINUE'
    ctx.set('next', undefined)
    // once the input has ended, a window without an end would be fired for ever: event time fires it at Infinity, once
    if (last === Number.POSITIVE_INFINITY && ctx.currentWatermark === last) return event && at < last ? 'CONTINUE' : 'FIRE'
    if (at !== last) schedule(at, window, ctx)
    return 'FIRE'
  }
  return {
    onElement(_value, timestamp, window, ctx) {
      if (event && maxTimestamp(window) <= ctx.currentWatermark) return 'FIRE'
      if (event) ctx.registerEventTime(maxTimestamp(window))
      if (ctx.get('next') === undefined) schedule(event ? timestamp : ctx.processingTime(), window, ctx)
      return 'CONTINUE'
    },
    onEventTime: (at, window, ctx) => (event ? onTimer(at, window, ctx) : 'CONTINUE'),
    onProcessingTime: (at, window, ctx) => (event ? 'CONTINUE' : onTimer(at, window, ctx)),
    onMerge(_window, ctx) {
      const pending = ctx.merged('next') as number[]
      if (pending.length === 0) return
      const at = Math.min(...pending)
      ctx.set('next', at)
      register(at, ctx)
    },
    clear(window, ctx) {
      const at = ctx.get('next')
      if (at !== undefined) event ? ctx.deleteEventTime(at) : ctx.deleteProcessingTime(at)
      if (event) ctx.deleteEventTime(maxTimestamp(window))
      ctx.set('next', undefined)
    },
  }
}

function mod(a: number, b: number): number {
  const rest = a % b
  return rest < 0 ? rest + b : rest
}
