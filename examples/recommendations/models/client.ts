import { fork } from 'node:child_process'
import { Agent, request } from 'node:http'
import { pack, unpack } from 'msgpackr'
import type { User, UserActivity } from '../records.ts'
import { type Candidates, FROM_ANN, type RankInput, type RankInputWithFeatures, type Recommendation } from '../records.ts'
import { FEATURES } from './features.ts'
import type { ServerOptions } from './server.ts'
import type { Calls } from './wire.ts'

const SOCKETS_MAX = 16
const START_MS_MAX = 30_000

/** An endpoint did not give an answer. A 5xx or a broken connection may succeed when asked again; a 4xx never will. */
export class ModelError extends Error {
  override readonly name = 'ModelError'
  readonly endpoint: string
  readonly status: number | undefined
  readonly retryable: boolean

  constructor(endpoint: string, status: number | undefined, detail: string, cause?: unknown) {
    super(`/${endpoint} ${status === undefined ? 'could not be reached' : `answered ${status}`}: ${detail}`, { cause })
    this.endpoint = endpoint
    this.status = status
    this.retryable = status === undefined || status >= 500
  }
}

/** What `mapAsyncBatch` gives to a call. */
interface CallOptions {
  signal: AbortSignal
}

/** The pipeline's model calls: each takes a batch, answers in its order, and throws `ModelError` for the whole of it. */
export interface Models {
  userTower(batch: UserActivity[], options?: CallOptions): Promise<User[]>
  /** About 500 of the index and the user's own clicks and views. */
  annLookup(batch: User[], options?: CallOptions): Promise<Candidates[]>
  fetchItemFeatures<T extends RankInput>(batch: T[], options?: CallOptions): Promise<(T & RankInputWithFeatures)[]>
  /** The top 100. */
  rank(batch: RankInputWithFeatures[], options?: CallOptions): Promise<Recommendation[]>
}

/** Asks an endpoint about a batch. */
type Ask = <E extends keyof Calls>(endpoint: E, batch: Calls[E]['request'], options?: CallOptions) => Promise<Calls[E]['answer']>

/** Model calls to the endpoints at `url`, which is asked for at the first call. */
export function modelsAt(url: () => string | Promise<string>): Models {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX })
  return modelsOf(async (endpoint, batch, options) => {
    if (batch.length === 0) return []
    return (await post(agent, await url(), endpoint, batch, options?.signal)) as never
  })
}

/** Model calls that `call` answers. */
export function modelsOf(call: Ask): Models {
  return {
    async userTower(batch, options) {
      const activities = batch.map(user => user.activity)
      const embeddings = await call('tower', activities, options)
      return batch.map((user, i) => ({ ...user, embedding: embeddings[i]! }))
    },
    async annLookup(batch, options) {
      const questions = batch.map(user => ({ embedding: user.embedding, also: user.activity.recent_clicks }))
      const nearest = await call('ann', questions, options)
      return batch.map(({ user_id, window_end }, i) => {
        const none = nearest[i]!.item_ids.map(() => 0)
        return { user_id, window_end, ...nearest[i]!, views: none, sources: none.map(() => FROM_ANN) }
      })
    },
    async fetchItemFeatures(batch, options) {
      const ids = [...new Set(batch.flatMap(input => input.item_ids))]
      const answers = await call('features', ids, options)
      const features = new Map(ids.map((id, i) => [id, answers[i]!]))
      return batch.map(input => ({ ...input, features: inOrder(input.item_ids, features) }))
    },
    async rank(batch, options) {
      const slim = batch.map(({ item_ids, similarity, views, sources, embedding, features }) => {
        return { item_ids, similarity, views, sources, embedding, features }
      })
      const ranked = await call('rank', slim, options)
      return batch.map(({ user_id, window_end }, i) => ({ user_id, window_end, items: ranked[i]! }))
    },
  }
}

function inOrder(itemIds: readonly string[], features: ReadonlyMap<string, readonly number[]>): Uint8Array {
  const all = new Uint8Array(itemIds.length * FEATURES)
  itemIds.forEach((id, i) => {
    all.set(features.get(id)!, i * FEATURES)
  })
  return all
}

/**
 * Model calls to `MODELS_URL`, or else to a process of the example's own, which starts with the first call and ends with
 * this process, however that ends. It does not keep this process alive.
 */
export function ownModels(options: ServerOptions = {}): Models {
  let started: Promise<string> | undefined
  return modelsAt(() => {
    if (process.env.MODELS_URL) return process.env.MODELS_URL
    // A server that died or never came up is started again by the next attempt.
    started ??= startModels(options, () => {
      started = undefined
    })
    return started
  })
}

/** Starts `server.ts` as a child process and resolves with its URL. */
export function startModels(options: ServerOptions = {}, onExit?: () => void): Promise<string> {
  const flags = { port: options.port, latency: options.latencyMs, 'failure-rate': options.failureRate, seed: options.seed }
  const args = Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]))
  const child = fork(new URL('./server.ts', import.meta.url), args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [],
  })
  return new Promise((resolve, reject) => {
    const give = (error: ModelError): void => {
      clearTimeout(timer)
      onExit?.()
      reject(error)
    }
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      give(new ModelError('', undefined, `no sign of the model server in ${START_MS_MAX} ms`))
    }, START_MS_MAX)
    child.once('error', error => give(new ModelError('', undefined, 'the model server does not start', error)))
    child.once('exit', code => give(new ModelError('', undefined, `the model server ended with code ${code}`)))
    child.once('message', message => {
      clearTimeout(timer)
      child.unref()
      child.channel?.unref()
      resolve((message as { url: string }).url)
    })
  })
}

function post(agent: Agent, url: string, endpoint: string, batch: unknown, signal?: AbortSignal): Promise<unknown> {
  const body = pack(batch)
  return new Promise((resolve, reject) => {
    const broken = (cause: Error): void => reject(new ModelError(endpoint, undefined, cause.message, cause))
    const headers = { 'content-type': 'application/msgpack', 'content-length': body.length }
    const outgoing = request(`${url}/${endpoint}`, { method: 'POST', agent, headers, signal }, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', broken)
      response.on('end', () => {
        const bytes = Buffer.concat(chunks)
        if (response.statusCode === 200) resolve(unpack(bytes))
        else reject(new ModelError(endpoint, response.statusCode, bytes.toString().slice(0, 200)))
      })
    })
    outgoing.on('error', broken)
    outgoing.end(body)
  })
}
