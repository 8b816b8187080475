import { duration } from '../format.ts'
import { type StatusStream, statusLine } from '../status-line.ts'

/** Says what is waited for, and for how long by now. */
export function waiting(stream: StatusStream) {
  const line = statusLine(stream)
  return {
    update: (elapsedMs: number, what: string) => line.show(`${what} (${duration(elapsedMs)})`, elapsedMs),
    clear: line.clear,
  }
}
