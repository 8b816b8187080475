import { atOnce } from '../connectors/at-once.ts'

/** Calls that one port method keeps under way at a time. */
export const LANES = 32

/** Works on all items, at most `LANES` at a time. After a failure no new one is begun, and it is thrown when none is under way any more. */
export function eachConcurrently<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  return atOnce(LANES, items, work)
}

export function chunked<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}
