import { deliveredSink } from './delivered-sink.ts'
import type { DeliveryOptions } from './delivery.ts'
import { ConnectorError } from './error.ts'
import { checkPost, checkUrl, type PostOptions, post, withoutSecrets } from './http-post.ts'
import { jsonLine } from './json-line.ts'
import type { Outgoing } from './service.ts'
import type { Sink } from './sink.ts'

/** Where an HTTP sink posts, and how. */
export interface HttpOptions extends DeliveryOptions, PostOptions {
  /** Each request is a POST to it. */
  readonly url: string
  /** Records of one request at most. Default 100. */
  readonly batch?: number
}

const BATCH = 100

/**
 * POSTs records as JSON arrays. The header `idempotency-key` names a request: with exactly-once delivery (the default), a repeated request has the same key and
 * body, so that a server that keeps the keys takes each record once. Of one subtask there is one request at a time, in order.
 *
 * Answers of 2xx are success. 429, 408, 425, 5xx, time-outs and broken connections are tried again, as late as `retry-after` says; then, and at once for any other answer, a
 * ConnectorError names URL and status.
 *
 * @example
 * alerts.sink('pager', httpSink({ url: 'https://pager.example/alerts', headers: { authorization: `Bearer ${process.env.PAGER_TOKEN}` } }))
 */
export function httpSink<T>(options: HttpOptions): Sink<T> {
  if (typeof options !== 'object' || options === null)
    throw new ConnectorError("httpSink was given no options: write httpSink({ url: 'https://…' })")
  const { url, batch = BATCH, delivery } = options
  const place = withoutSecrets(url)
  const where = `the HTTP sink ${place}`
  checkPost(options, where)
  if (!Number.isInteger(batch) || batch < 1) throw new ConnectorError(`${where} has batch ${batch}: write a whole number above 0`)
  return deliveredSink<T, string>(
    {
      kind: 'http',
      where,
      check: () => checkUrl(url, where),
      message: value => jsonLine(value, where).slice(0, -1),
      async send(messages) {
        for (const some of requests(messages, batch))
          await post(options, where, `${some[0]!.id}-${some.length}`, `[${some.map(({ message }) => message).join()}]`)
      },
      describe: () => `http ${place}`,
    },
    delivery,
  )
}

/** What goes together: never records of two commits, because where a repetition begins may differ, and a key has to stand for the same records. */
function requests(messages: readonly Outgoing<string>[], batch: number): Outgoing<string>[][] {
  const all: Outgoing<string>[][] = []
  for (const message of messages) {
    const last = all.at(-1)
    if (last === undefined || last.length === batch || last[0]!.version !== message.version) all.push([message])
    else last.push(message)
  }
  return all
}
