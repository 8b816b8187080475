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
    sleep: (ms, signal) =>
      new Promise(resolve => {
        if (signal?.aborted) return resolve()
        const wake = () => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', wake)
          sleepers = sleepers.filter(s => s !== sleeper)
          resolve()
        }
        const sleeper: Sleeper = { due: now + ms, wake }
        const timer = setTimeout(wake, Math.min(Math.max(ms, 0), 2 ** 31 - 1))
        signal?.addEventListener('abort', wake, { once: true })
        sleepers.push(sleeper)
      }),
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
