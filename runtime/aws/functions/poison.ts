import { bytesText } from '../../connectors/json-line.ts'
import { UserCodeError } from '../../operators/user-code.ts'
import type { Clock } from '../../ports.ts'
import { KeyChangedError } from '../../stage/wiring.ts'
import { TooLargeError } from '../errors.ts'
import type { Environment } from './environment.ts'

/** How often a record that fails alone is tried, before it goes to the dead letters. */
const TRIES = 3
const WAIT_MS = 100

/** In the log line of each record that is given up: the stack counts these (infra/metrics.ts). */
export const GIVEN_UP = 'is given up and goes to the dead letters'

/** The record itself is at fault, not a service: the same would happen again. */
export function isPoison(error: unknown): error is Error {
  return error instanceof UserCodeError || error instanceof KeyChangedError || error instanceof TooLargeError
}

/** Counts how often one record, and then another, has failed by itself. */
export function openTries(clock: Clock) {
  let failing: string | undefined
  let failures = 0
  return {
    /** Undefined: it is to be tried again, now that some time has passed. Else why it is given up. */
    async failed(id: string, { message }: Error): Promise<string | undefined> {
      if (id !== failing) failures = 0
      failing = id
      if (++failures === TRIES) {
        failing = undefined
        return `${TRIES} tries failed: ${message}`
      }
      await clock.sleep(WAIT_MS * 2 ** failures)
      return undefined
    },
  }
}

/** Keeps a record in the bucket, before it is skipped: under its position, so that it is there once however often that is tried. `of`: what it is a record of. */
export async function giveUp(
  { ports, log }: Pick<Environment, 'ports' | 'log'>,
  of: string,
  path: string,
  letter: { readonly reason: string; readonly [field: string]: unknown },
  where: Readonly<Record<string, unknown>>,
): Promise<void> {
  const key = `dead-letters/${path}.json`
  await ports.blobs.putIfAbsent(key, new TextEncoder().encode(`${JSON.stringify(letter, readable)}\n`))
  log('error', `a record of ${of} ${GIVEN_UP}: ${letter.reason}`, { ...where, key })
}

/** For people: what JSON has no form for, in one that it has. */
function readable(this: Readonly<Record<string, unknown>>, name: string, value: unknown): unknown {
  const own = this[name]
  if (own instanceof Uint8Array) return bytesText(own)
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) return Array.from(value as Iterable<unknown>)
  return value
}
