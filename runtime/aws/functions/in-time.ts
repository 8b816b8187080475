import { OVER } from '../../over.ts'
import type { Clock } from '../../ports.ts'
import { DeadlineError } from '../../protocol/errors.ts'

/**
 * What somebody else's work gives, if it does so before `until`, epoch ms; whatever comes of it later is nobody's business.
 * @throws DeadlineError
 */
export async function inTime<T>(clock: Clock, until: number, what: string, work: Promise<T>): Promise<T> {
  const done = new AbortController()
  const timeUp = clock.sleep(Math.max(0, until - clock.now()), done.signal).then((): never => {
    throw new DeadlineError(`there was no time to find out ${what}`)
  })
  try {
    return await Promise.race([work, timeUp])
  } finally {
    // After that the sleep's end is heard by nobody.
    timeUp.catch(() => {})
    done.abort(OVER)
  }
}
