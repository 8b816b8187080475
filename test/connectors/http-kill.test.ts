import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { generate, scratch, seeded, writeEvents } from '../engine/events.ts'

const CHILD = join(import.meta.dirname, 'children/http-run.ts')
const KILLS = 8

/** A server that keeps the keys of the requests that it has taken, answers some by an error, and loses the answer to others. */
async function serve(trouble: () => number) {
  const taken = new Map<string, string>()
  let repeated = 0
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const kind = trouble()
    if (kind < 0.05) return response.writeHead(503).end()
    const key = `${request.url} ${request.headers['idempotency-key']}`
    const known = taken.get(key)
    if (known !== undefined) {
      assert.equal(body, known, `${key} came with another body`)
      repeated++
    }
    taken.set(key, body)
    if (kind < 0.1) return response.destroy()
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close().closeAllConnections(),
    repeated: () => repeated,
    /** Each record with its sink, in no order. */
    rows: () =>
      [...taken]
        .flatMap(([key, body]) => JSON.parse(body).map((row: unknown) => `${key.split(' ')[0]} ${JSON.stringify(row)}`))
        .sort(),
  }
}

/** One run in a process of its own, killed after `ms` if it is not through by then. */
function run(input: string, state: string, url: string, ms: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CHILD, input, state, url], { stdio: ['ignore', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.on('data', data => {
      errors += data
    })
    const timer = Number.isFinite(ms) ? setTimeout(() => child.kill('SIGKILL'), ms) : undefined
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (code === 0 || signal === 'SIGKILL') resolve(code !== 0)
      else reject(new Error(`the run ended with ${code ?? signal}: ${errors}`))
    })
  })
}

test('a pipeline that is killed again and again gives a server that keeps keys each result once', {
  timeout: 3_600_000,
}, async t => {
  const root = scratch(t)
  const input = writeEvents(join(root, 'events.ndjson'), generate(2000, 11))
  const random = seeded(Date.now())
  const calm = await serve(() => 1)
  const busy = await serve(random)
  t.after(calm.close)
  t.after(busy.close)
  const started = performance.now()
  await run(input, join(root, 'calm'), calm.url, Number.POSITIVE_INFINITY)
  const calmMs = performance.now() - started
  let kills = 0
  while (kills < KILLS && (await run(input, join(root, 'killed'), busy.url, calmMs * (0.3 + 0.7 * random())))) kills++
  await run(input, join(root, 'killed'), busy.url, Number.POSITIVE_INFINITY)
  t.diagnostic(`${kills} kills, ${busy.repeated()} repeated requests`)
  assert.ok(kills > 0)
  assert.ok(calm.rows().length > 100)
  assert.deepEqual(busy.rows(), calm.rows())
})
