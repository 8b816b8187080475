/**
 * The model endpoints, in a process of their own: `POST /tower`, `/ann`, `/features`, `/rank`, each with a batch as MessagePack
 * and the answers in the same order. `--help` says how to make it slow and unreliable.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { pack, unpack } from 'msgpackr'
import { random } from '../seeded.ts'
import { type Answers, answers } from './answers.ts'
import type { Calls } from './wire.ts'

const BODY_BYTES_MAX = 64 * 1024 * 1024

export interface ServerOptions {
  /** 0, the default, takes a free one. */
  port?: number
  /** Waited before each answer. */
  latencyMs?: number
  /** Share of the requests that are answered with 503, chosen by `seed` and the order of the requests. */
  failureRate?: number
  seed?: number
}

/** Starts the endpoints in this process; resolves once they can be called. */
export async function serveModels(options: ServerOptions = {}): Promise<{ url: string; server: Server }> {
  const { port = 0, latencyMs = 0, failureRate = 0, seed = 1 } = options
  const endpoints = answers()
  const next = random(seed)
  const server = createServer((request, response) => {
    const fails = next() < failureRate
    answer(request, endpoints, fails, latencyMs).then(
      ({ status, body }) => reply(response, status, body),
      error => reply(response, 400, Buffer.from(String(error))),
    )
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

async function answer(request: IncomingMessage, endpoints: Answers, fails: boolean, latencyMs: number) {
  const body = await read(request)
  if (latencyMs > 0) await sleep(latencyMs)
  if (fails) return { status: 503, body: Buffer.from('made to fail (--failure-rate)') }
  const endpoint = /^POST \/(.*)$/.exec(`${request.method} ${request.url}`)?.[1] ?? ''
  if (!Object.hasOwn(endpoints, endpoint))
    return { status: 404, body: Buffer.from(`${request.method} ${request.url}: no such endpoint`) }
  return { status: 200, body: pack(endpoints[endpoint as keyof Calls](unpack(body))) }
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > BODY_BYTES_MAX) throw new RangeError(`a body has at most ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function reply(response: ServerResponse, status: number, body: Buffer): void {
  response.writeHead(status, {
    'content-type': status === 200 ? 'application/msgpack' : 'text/plain',
    'content-length': body.length,
  })
  response.end(body)
}

const help = `The models of the recommendation example behind HTTP.

  npx node examples/recommendations/models/server.ts [--port N] [--latency MS] [--failure-rate 0..1] [--seed N]

MODELS_LATENCY_MS, MODELS_FAILURE_RATE and MODELS_SEED are the defaults of the last three.`

function optionsOf(env: NodeJS.ProcessEnv, args: string[]): ServerOptions | undefined {
  const { values } = parseArgs({
    args,
    options: {
      port: { type: 'string', default: '0' },
      latency: { type: 'string', default: env.MODELS_LATENCY_MS ?? '0' },
      'failure-rate': { type: 'string', default: env.MODELS_FAILURE_RATE ?? '0' },
      seed: { type: 'string', default: env.MODELS_SEED ?? '1' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return undefined
  const number = (name: 'port' | 'latency' | 'failure-rate' | 'seed', max: number): number => {
    const value = Number(values[name])
    if (!(value >= 0 && value <= max)) throw new RangeError(`--${name} is a number from 0 to ${max}, not ${values[name]}`)
    return value
  }
  return {
    port: number('port', 65_535),
    latencyMs: number('latency', 60_000),
    failureRate: number('failure-rate', 1),
    seed: number('seed', 2 ** 32),
  }
}

async function main(): Promise<void> {
  const options = optionsOf(process.env, process.argv.slice(2))
  if (!options) return console.log(help)
  // The parent may be killed with SIGKILL: then nobody says goodbye but the channel.
  process.on('disconnect', () => process.exit(0))
  // A Ctrl-C in the terminal reaches the whole group; the pipeline still takes its last checkpoint then, and needs answers.
  if (process.send) process.on('SIGINT', () => {})
  const { url } = await serveModels(options)
  if (process.send) process.send({ url })
  else console.log(`models at ${url}`)
}

if (import.meta.main) {
  main().catch(error => {
    console.error(error instanceof Error ? error.message : error)
    process.exit(2)
  })
}
