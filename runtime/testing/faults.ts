import { TestKitError } from './error.ts'

/** Where an environment ends: before what it has computed is sent; with all of it sent, and nothing committed; or right after its commit, of which nobody is told. */
export type CrashPoint = 'process' | 'send' | 'commit'

/** Something that goes wrong all the time, until it is switched off. None of them may change what comes out. */
export type TestFault =
  | { readonly kind: 'always redeliver' }
  | { readonly kind: 'zombies' }
  | { readonly kind: 'crash'; readonly after: CrashPoint }
  | { readonly kind: 'throttle'; readonly rate: number }

/** Each batch is delivered three times: twice to the same environment, and once to a new one, which has to read its state. */
export const alwaysRedeliver: TestFault = { kind: 'always redeliver' }

/**
 * Each batch is delivered to two environments. One is frozen in front of its commit until the other one has committed, and then goes on: its output is on its way, and must not count.
 * So your functions run twice for each record.
 */
export const zombies: TestFault = { kind: 'zombies' }

const POINTS: readonly CrashPoint[] = ['process', 'send', 'commit']

/**
 * The environment that works on a batch dies at a point, once for each commit; another one does the batch again.
 *
 * @example
 * const t = await openTestPipeline(app, { faults: [crashAfter('send')] })
 */
export function crashAfter(point: CrashPoint): TestFault {
  if (POINTS.includes(point)) return { kind: 'crash', after: point }
  throw new TestKitError(`crashAfter: there is no point '${point}': there are ${POINTS.join(', ')}`)
}

/**
 * This share of the writes to streams, log and blobs is refused, from 0 to 0.9; the batch is then done again.
 *
 * @example
 * t.faults(throttle(0.2), zombies)
 */
export function throttle(rate: number): TestFault {
  if (rate >= 0 && rate <= 0.9) return { kind: 'throttle', rate }
  throw new TestKitError(`throttle: ${rate} is no share of the writes from 0 to 0.9`)
}
