import { MillraceError } from '../errors.ts'
import type { Clock, Random } from '../ports.ts'
import { DeadlineError } from '../protocol/errors.ts'
import { classify, type Failure } from './classify.ts'
import {
  AccessRefusedError,
  RequestRefusedError,
  ResourceMissingError,
  ServiceUnavailableError,
  ThrottledError,
} from './errors.ts'
import type { Meter, Meters } from './meter.ts'

const TRIES_MAX = 12
const WAIT_MS_BASE = 50
const WAIT_MS_MAX = 3_000
/** A request that has no answer by then is given up, and tried again: a lost connection would hold it for ever. */
const REQUEST_MS_MAX = 20_000

/** One try of a call. */
export interface Try {
  readonly signal: AbortSignal
  /** An earlier try of this call may have taken effect: a condition that fails now may have failed on its own doing. */
  readonly doubt: boolean
  readonly meter: Meter
}

export interface CallOptions {
  /** As the meters call it: `dynamodb.PutItem`. */
  readonly operation: string
  /** For errors: `table shop-log`. */
  readonly resource: string
  /** Errors of the service that the caller knows what to do with: thrown as they are. */
  readonly expected?: (error: unknown) => boolean
}

/** Sends a request until it is answered, up to the deadline. */
export type Call = <T>(options: CallOptions, send: (attempt: Try) => Promise<T>) => Promise<T>

export interface CallerOptions {
  readonly clock: Clock
  readonly random: Random
  readonly meters: Meters
  /** Epoch ms after which nothing is sent any more (protocol.md, A8). */
  readonly deadline?: () => number | undefined
}

/** The longest wait before try `tries` + 1. The actual one is anywhere below it (full jitter), so that many who were refused together don't return together. */
export function waitMsMax(tries: number): number {
  return Math.min(WAIT_MS_MAX, WAIT_MS_BASE * 2 ** (tries - 1))
}

/** The SDK's own retries are off (clients.ts): they know neither the deadline nor whether a lost answer matters, and are not counted. */
export function caller({ clock, random, meters, deadline }: CallerOptions): Call {
  return async ({ operation, resource, expected }, send) => {
    const meter = meters.of(operation)
    for (let tries = 1, doubt = false; ; tries++) {
      const end = deadline?.()
      const left = end === undefined ? REQUEST_MS_MAX : Math.min(REQUEST_MS_MAX, end - clock.now())
      if (left <= 0) throw outOfTime(operation, resource)
      meter.calls++
      try {
        return await send({ signal: AbortSignal.timeout(Math.ceil(left)), doubt, meter })
      } catch (error) {
        if (error instanceof MillraceError || expected?.(error)) throw error
        const failure = classify(error)
        if (failure === undefined) throw error
        if (failure === 'throttled') meter.throttled++
        if (!RETRIED.has(failure) || tries === TRIES_MAX) throw named(failure, operation, resource, tries, error)
        doubt ||= failure === 'unavailable'
        const wait = random.fraction() * waitMsMax(tries)
        if (end !== undefined && clock.now() + wait >= end) throw outOfTime(operation, resource, error)
        meter.retries++
        await clock.sleep(wait)
      }
    }
  }
}

/** Operations that change nothing. */
const READING = /\.(BatchGet|Describe|Get|Head|List|Query)/

const RETRIED: ReadonlySet<Failure> = new Set(['throttled', 'conflict', 'unavailable'])

function outOfTime(operation: string, resource: string, cause?: unknown): DeadlineError {
  const after = cause === undefined ? '' : `, after ${(cause as Error).name}: ${(cause as Error).message}`
  return new DeadlineError(
    `no time is left in this invocation for ${operation} on ${resource}${after}`,
    cause === undefined ? {} : { cause },
  )
}

/** What a failure means to whoever reads about it. */
export function named(failure: Failure, operation: string, resource: string, tries: number, cause: unknown): MillraceError {
  const { name, message } = cause as Error
  const said = `${name}: ${message}`
  switch (failure) {
    case 'throttled':
      return new ThrottledError(
        resource,
        `${resource} throttled ${operation} ${tries} times: give it more capacity (shards, table throughput), or the pipeline less to do at a time. It said ${said}`,
        { cause },
      )
    case 'access':
      return new AccessRefusedError(
        resource,
        name === 'CredentialsProviderError'
          ? `there are no AWS credentials for ${operation} on ${resource}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The SDK said ${said}`
          : `${operation} on ${resource} is not allowed: check the credentials, and the policies of the role or user that they are of` +
              `${operation === 's3.GetObject' ? ' (without s3:ListBucket, S3 refuses to say that an object is not there)' : ''}. It said ${said}`,
        { cause },
      )
    case 'missing':
      return new ResourceMissingError(
        resource,
        `${resource} is not there: deploy the stack, or check its name, the region and the endpoint. ${operation} said ${said}`,
        { cause },
      )
    case 'refused':
      return new RequestRefusedError(resource, `${resource} refused ${operation}: ${said}`, { cause })
    default:
      return new ServiceUnavailableError(
        resource,
        `${operation} on ${resource} failed ${tries} times${READING.test(operation) ? '' : '; it may have taken effect'}. The last time: ${said}`,
        { cause },
      )
  }
}
