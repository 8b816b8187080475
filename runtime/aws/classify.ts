/**
 * What a failed call means. `throttled` and `conflict` took no effect and are worth another try; `unavailable` may have taken effect, and is
 * too; the others would only fail again.
 */
export type Failure = 'throttled' | 'conflict' | 'unavailable' | 'access' | 'missing' | 'refused'

const THROTTLED = new Set([
  'ProvisionedThroughputExceededException',
  'ThrottlingException',
  'Throttling',
  'ThrottledException',
  'RequestThrottled',
  'RequestThrottledException',
  'RequestLimitExceeded',
  'LimitExceededException',
  'KMSThrottlingException',
  'KmsThrottled',
  'TooManyRequestsException',
  'SlowDown',
])

/** Two writers of one item or object at a time; or a clock that the SDK has set right by now. */
const CONFLICT = new Set([
  'TransactionConflictException',
  'ReplicatedWriteConflictException',
  'ConditionalRequestConflict',
  'OperationAborted',
  'RequestTimeTooSkewed',
])

const UNAVAILABLE = new Set(['TimeoutError', 'AbortError', 'RequestTimeout', 'RequestTimeoutException', 'NetworkingError'])

const NETWORK = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
])

const ACCESS = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'AllAccessDisabled',
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'IncompleteSignature',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'KMSAccessDeniedException',
  'KmsAccessDenied',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'NotAuthorized',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
])

const MISSING = new Set(['ResourceNotFoundException', 'NoSuchBucket', 'QueueDoesNotExist', 'KMSNotFoundException', 'KmsNotFound'])

interface ServiceError {
  readonly name?: string
  readonly code?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
}

/** Undefined: not a failure of the service or of the way to it, but of the program. */
export function classify(error: unknown): Failure | undefined {
  const { name = '', code = '', $metadata } = (error ?? {}) as ServiceError
  const status = $metadata?.httpStatusCode
  if (THROTTLED.has(name) || status === 429) return 'throttled'
  if (CONFLICT.has(name)) return 'conflict'
  if (ACCESS.has(name)) return 'access'
  if (MISSING.has(name)) return 'missing'
  if (UNAVAILABLE.has(name) || NETWORK.has(code) || (status !== undefined && status >= 500)) return 'unavailable'
  // An answer of 2xx that could not be read was cut off on its way.
  if (status !== undefined) return status < 300 ? 'unavailable' : status === 403 ? 'access' : 'refused'
  return undefined
}

/** Whether what a service says of one entry of a batch is worth another try. */
export function isPassing(code: string): boolean {
  return THROTTLED.has(code) || CONFLICT.has(code) || /Internal|Unavailable|Timeout/.test(code)
}

/** True: the SDK's error has one of these names. */
export function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return names.includes((error as ServiceError | undefined)?.name ?? '')
}
