import { randomBytes } from 'node:crypto'
import type { Clock, Random } from '../ports.ts'

/** What setTimeout can hold: above it, Node fires after 1 ms. */
const SLEEP_MS_MAX = 2 ** 31 - 1
const ID_BYTES = 10

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now(), sleep }

/** Real time, as `Clock.sleep` has it. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal?.aborted) return resolve()
    const wake = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, Math.min(Math.max(ms, 0), SLEEP_MS_MAX))
    signal?.addEventListener('abort', wake, { once: true })
  })
}

/** The machine's randomness. Ids are 20 hexadecimal characters: 80 bits. */
export const systemRandom: Random = {
  id: () => randomBytes(ID_BYTES).toString('hex'),
  fraction: () => Math.random(),
}
