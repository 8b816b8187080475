import { ConnectorError, reasonOf, UnreachableError } from './error.ts'

export interface PostOptions {
  readonly url: string
  /** Sent with each request; a function is asked before each one, for tokens that expire. */
  readonly headers?: Headers | (() => Headers | Promise<Headers>)
  /** How long a request may take, ms. Default 10,000. */
  readonly timeoutMs?: number
  /** Tries after the first one. Default 5. */
  readonly retries?: number
}

type Headers = Readonly<Record<string, string>>

const TIMEOUT_MS = 10_000
const RETRIES = 5
const WAIT_MS_BASE = 200
const WAIT_MS_MAX = 10_000
/** A server that asks for more is taken for one that is away. */
const RETRY_AFTER_MS_MAX = 60_000
const ANSWER_CHARS = 200
const RETRIED = new Set([408, 425, 429])

/** @throws ConnectorError for options that can't be meant */
export function checkPost({ timeoutMs = TIMEOUT_MS, retries = RETRIES }: PostOptions, where: string): void {
  if (!(timeoutMs > 0)) throw new ConnectorError(`${where} has timeoutMs ${timeoutMs}: write a number of milliseconds above 0`)
  if (!Number.isInteger(retries) || retries < 0)
    throw new ConnectorError(`${where} has retries ${retries}: write a whole number from 0`)
}

/** @throws ConnectorError when it is none */
export function checkUrl(url: string, where: string): void {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    throw new ConnectorError(`${where} needs a URL that begins with http:// or https://`)
}

/** Posts JSON until it is taken. */
export async function post(options: PostOptions, where: string, key: string, body: string): Promise<void> {
  const { retries = RETRIES } = options
  for (let tries = 1; ; tries++) {
    const failure = await tryOnce(options, key, body)
    if (failure === undefined) return
    if (!failure.retried) throw new ConnectorError(`${where} was answered ${failure.reason}`, { cause: failure.cause })
    const asked = failure.retryAfterMs ?? 0
    if (tries > retries || asked > RETRY_AFTER_MS_MAX)
      throw new UnreachableError(`${where} failed ${tries} times; the last time: ${failure.reason}`, { cause: failure.cause })
    const jitter = Math.random() * Math.min(WAIT_MS_MAX, WAIT_MS_BASE * 2 ** (tries - 1))
    await new Promise(resolve => setTimeout(resolve, asked + jitter))
  }
}

interface Failure {
  readonly reason: string
  readonly retried: boolean
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

async function tryOnce(
  { url, headers, timeoutMs = TIMEOUT_MS }: PostOptions,
  key: string,
  body: string,
): Promise<Failure | undefined> {
  const own = typeof headers === 'function' ? await headers() : headers
  const request = new Request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...own, 'idempotency-key': key },
    body,
    // A redirection would make a GET of it, without the records.
    redirect: 'manual',
    signal: AbortSignal.timeout(timeoutMs),
  })
  let response: Response
  let text: string
  try {
    response = await fetch(request)
    // Read to the end also when it is of no interest: else the connection isn't used again.
    text = await response.text()
  } catch (error) {
    const { cause } = error as Error
    return {
      reason: cause === undefined ? reasonOf(error) : `${reasonOf(error)}, ${causeOf(cause)}`,
      retried: true,
      cause: error,
    }
  }
  const { status } = response
  if (response.ok) return undefined
  const reason = `${status} ${response.statusText}${text === '' ? '' : `: ${text.slice(0, ANSWER_CHARS)}`}`
  return {
    reason,
    retried: RETRIED.has(status) || status >= 500,
    retryAfterMs: retryAfterMs(response.headers.get('retry-after')),
  }
}

/** Of fetch, where the error itself says next to nothing. */
function causeOf(cause: unknown): string {
  return reasonOf(cause) || (cause as NodeJS.ErrnoException).code || 'the connection failed'
}

/** Seconds, or a date. */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

/** Without what may be secret: name and password, and the query. */
export function withoutSecrets(url: string): string {
  const { protocol, host, pathname } = URL.parse(url) ?? {}
  return host === undefined ? JSON.stringify(url) : `${protocol}//${host}${pathname}`
}
