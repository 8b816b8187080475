import { sleep } from '../embedded/clock.ts'
import type { Clock } from '../ports.ts'

interface Sleeper {
  readonly due: number
  wake(): void
}

/** A clock that stands still until somebody moves it. */
export interface HandClock extends Clock {
  /** When the next sleeper is due; Infinity: nobody sleeps. */
  readonly nextDue: number
  /** Moves it to `to`, epoch ms, and wakes who is due by then, one after the other. Never back. */
  pass(to: number): Promise<void>
}

/**
 * `now` moves by hand alone. Whoever sleeps wakes when the clock is moved far enough, or when so much real time has gone by: a call that
 * is tried again after a pause needs nobody to move the clock.
 */
export function openHandClock(start: number): HandClock {
  let now = start
  let sleepers: Sleeper[] = []

  const next = () => sleepers.reduce((least, { due }) => Math.min(least, due), Number.POSITIVE_INFINITY)

  return {
    now: () => now,
    get nextDue() {
      return next()
    },
    async sleep(ms, signal) {
      const moved = new AbortController()
      const sleeper: Sleeper = { due: now + ms, wake: () => moved.abort() }
      sleepers.push(sleeper)
      await sleep(ms, signal === undefined ? moved.signal : AbortSignal.any([signal, moved.signal]))
      sleepers = sleepers.filter(s => s !== sleeper)
    },
    async pass(to) {
      for (let due = next(); due <= to; due = next()) {
        now = Math.max(now, due)
        sleepers.find(s => s.due === due)!.wake()
        await turn()
      }
      now = Math.max(now, to)
    },
  }
}

/** Lets promises, timers and sockets have their turn. */
export function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
