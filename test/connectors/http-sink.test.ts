import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, describe, test } from 'node:test'
import { ConnectorError, UnreachableError } from '../../runtime/connectors/error.ts'
import { type HttpOptions, httpSink } from '../../runtime/connectors/http-sink.ts'
import { memoryBlobs } from './memory-blobs.ts'

interface Request {
  readonly headers: IncomingMessage['headers']
  readonly body: any
  readonly at: number
}

const servers: Server[] = []
after(() => {
  for (const server of servers) server.closeAllConnections()
  for (const server of servers) server.close()
})

/** A real server. `answer` says what it does with request `n` (from 0); without it, all is well. */
async function serve(answer: (n: number, response: ServerResponse) => void = (_, r) => r.end()) {
  const requests: Request[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    requests.push({ headers: request.headers, body: JSON.parse(body), at: Date.now() })
    answer(requests.length - 1, response)
  })
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { requests, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/alerts` }
}

const status =
  (code: number, headers: Record<string, string> = {}, text = '') =>
  (response: ServerResponse) =>
    response.writeHead(code, headers).end(text)

const context = () => ({ run: 'r', pipeline: 'p', operatorId: 'o', subtask: 0, parallelism: 1, staging: memoryBlobs() })

/** Commits of these records, each a list, and a checkpoint behind them. */
async function deliver(options: HttpOptions, commits: readonly (readonly unknown[])[]): Promise<() => Promise<void>> {
  const at = context()
  const sink = httpSink(options)
  const writer = await sink.open(at, undefined)
  let state: Awaited<ReturnType<typeof writer.flush>>
  for (const [i, rows] of commits.entries()) {
    for (const row of rows) writer.write(row, { timestamp: 0, key: undefined })
    state = await writer.flush({ ...at, version: i + 1, attempt: 'a', checkpoint: 1 }, undefined)
  }
  return async () => sink.commit?.('r', 1, [state], at)
}

test('records go as JSON arrays, in order, when the checkpoint is complete; a repetition has the same keys and bodies', async () => {
  const { requests, url } = await serve((n, r) => (n === 2 ? r.destroy() : r.end()))
  const commit = await deliver({ url, batch: 2, retries: 0, headers: { authorization: 'Bearer t' } }, [
    [{ a: 1 }, 'ü', 3],
    [4],
    [5],
  ])
  assert.equal(requests.length, 0)
  await assert.rejects(commit, UnreachableError)
  await commit()
  await commit()
  const bodies = requests.map(({ body }) => body)
  const all = [[{ a: 1 }, 'ü'], [3], [4], [5]]
  assert.deepEqual(bodies, [...all.slice(0, 3), ...all])
  const keys = requests.map(({ headers }) => headers['idempotency-key'])
  assert.deepEqual(keys.slice(0, 3), keys.slice(3, 6))
  assert.equal(new Set(keys).size, all.length)
  for (const { headers } of requests) {
    assert.equal(headers['content-type'], 'application/json')
    assert.equal(headers.authorization, 'Bearer t')
  }
})

test('at least once: they go with each commit, and another attempt has other keys', async () => {
  const { requests, url } = await serve()
  const options: HttpOptions = { url, delivery: 'at-least-once' }
  await deliver(options, [[1, 2], [3]])
  await deliver(options, [[1, 2]])
  assert.deepEqual(
    requests.map(({ body }) => body),
    [[1, 2], [3], [1, 2]],
  )
  assert.equal(new Set(requests.map(({ headers }) => headers['idempotency-key'])).size, 3)
})

describe('a server that is away', () => {
  test('is asked again, as late as it says', async () => {
    const answers = [status(503), status(429, { 'retry-after': '1' }), (r: ServerResponse) => r.destroy(), status(204)]
    const { requests, url } = await serve((n, r) => answers[n]!(r))
    await deliver({ url, delivery: 'at-least-once' }, [[1]])
    assert.equal(requests.length, 4)
    assert.equal(new Set(requests.map(({ headers }) => headers['idempotency-key'])).size, 1)
    assert.ok(requests[2]!.at - requests[1]!.at >= 990)
  })

  test('for longer than there are tries is named with URL and status, and may be tried later', async () => {
    const { requests, url } = await serve((_, r) => status(500, {}, 'out of memory')(r))
    await assert.rejects(deliver({ url: `${url}?token=secret`, retries: 2, delivery: 'at-least-once' }, [[1]]), error => {
      assert.ok(error instanceof UnreachableError)
      assert.equal(error.retryable, true)
      assert.equal(error.message, `the HTTP sink ${url} failed 3 times; the last time: 500 Internal Server Error: out of memory`)
      return true
    })
    assert.equal(requests.length, 3)
    const away = 'http://127.0.0.1:1/x'
    await assert.rejects(
      deliver({ url: away, retries: 1, delivery: 'at-least-once' }, [[1]]),
      /the HTTP sink http:\/\/127\.0\.0\.1:1\/x failed 2 times; the last time: fetch failed, /,
    )
  })

  test('and does not answer: a request has its time', async () => {
    const { url } = await serve(() => {})
    await assert.rejects(
      deliver({ url, retries: 0, timeoutMs: 100, delivery: 'at-least-once' }, [[1]]),
      /failed 1 times.*timeout/,
    )
  })

  test('and asks for an hour is not waited for', async () => {
    const { requests, url } = await serve((_, r) =>
      status(503, { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() })(r),
    )
    await assert.rejects(deliver({ url, delivery: 'at-least-once' }, [[1]]), UnreachableError)
    assert.equal(requests.length, 1)
  })
})

test('what would be answered alike again ends it at once', async () => {
  for (const [code, headers] of [
    [400, {}],
    [401, {}],
    [404, {}],
    [301, { location: '/elsewhere' }],
  ] as const) {
    const { requests, url } = await serve((_, r) => status(code, headers, 'no')(r))
    await assert.rejects(deliver({ url, delivery: 'at-least-once' }, [[1]]), error => {
      assert.ok(error instanceof ConnectorError && !error.retryable)
      assert.match(error.message, new RegExp(`^the HTTP sink ${url} was answered ${code} .*: no$`))
      return true
    })
    assert.equal(requests.length, 1)
  }
})

test('headers may be asked for before each request', async () => {
  const { requests, url } = await serve((n, r) => (n === 0 ? status(503)(r) : r.end()))
  let tokens = 0
  const headers = async () => ({ authorization: `t${++tokens}` })
  await deliver({ url, headers, delivery: 'at-least-once' }, [[1]])
  assert.deepEqual(
    requests.map(r => r.headers.authorization),
    ['t1', 't2'],
  )
})

test('where it is only planned, the URL may be missing', async () => {
  const sink = httpSink({ url: process.env.NOT_SET! })
  assert.equal(sink.describe(), 'http undefined')
  await assert.rejects(sink.open(context(), undefined), /the HTTP sink undefined needs a URL that begins with http/)
  await assert.rejects(httpSink({ url: 'x/y' }).open(context(), undefined), /the HTTP sink "x\/y" needs a URL that begins/)
})

test('options that can not be meant are refused when the pipeline is declared', () => {
  const url = 'https://x/y'
  assert.throws(() => httpSink({ url, batch: 0 }), /has batch 0/)
  assert.throws(() => httpSink({ url, retries: -1 }), /has retries -1/)
  assert.throws(() => httpSink({ url, timeoutMs: 0 }), /has timeoutMs 0/)
  assert.equal(httpSink({ url: 'https://me:pw@x/y?z=1' }).describe(), 'http https://x/y')
})
