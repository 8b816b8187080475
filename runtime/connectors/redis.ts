import { canonicalKey, keyId } from '../graph/key.ts'
import { ConnectorError, reasonOf } from './error.ts'
import { jsonLine } from './json-line.ts'
import { UPSERT } from './redis-script.ts'
import type { CommitIdentity, Sink, SinkContext, SinkWriter } from './sink.ts'

/** Where a Redis sink writes, and what of each record. */
export interface RedisOptions<T> {
  /** `redis://[user:password@]host:port/db`, or `rediss://` for TLS. Default: the environment's REDIS_URL, else redis://127.0.0.1:6379. */
  readonly url?: string
  /** The Redis key of a record. */
  readonly key: (value: T) => string
  /** What is stored there. Default: the record as JSON, for a hash its fields. */
  readonly value?: (value: T) => string | Readonly<Record<string, string | number>>
  /** `string` (SET) or `hash` (the whole hash is replaced). Default string. */
  readonly type?: 'string' | 'hash'
  /** Time to live, ms. Default: none. */
  readonly ttlMs?: number
  /**
   * Which of two records for a key is the newer: the window's end, a timestamp, a counter. Needed where several subtasks write one key, and
   * when runs must not undo each other. Default: the version of the commit, which is right when the stream is keyed by what makes the Redis key.
   */
  readonly version?: (value: T) => number
}

type Arguments = (string | number)[]
/** What defineCommand adds to ioredis at run time. */
interface UpsertPipeline {
  millraceUpsert(...args: Arguments): unknown
  exec(): Promise<[Error | null, unknown][] | null>
}
interface Client {
  readonly status: string
  pipeline(): UpsertPipeline
  disconnect(): void
}

const PIPELINE_COMMANDS_MAX = 1000
const HASH_FIELDS_MAX = 2000
/** About 15 s of trying in all where connections are refused, less than a minute where nothing answers. */
const RETRIES_MAX = 20
const RETRY_WAIT_MS_MAX = 1000
const CONNECT_MS_MAX = 2000

/**
 * Upserts each record into Redis, pipelined at each commit, and guarded by a version that is kept beside the value (in `KEY:version`), so that a replay
 * changes nothing and an older value never replaces a newer one. Of several records for a key in one commit, the last is sent.
 *
 * Throws ConnectorError, naming the server, when it stays away (15 s refused, a minute silent) or refuses a command.
 *
 * @example
 * rankings.sink('rankings', redis({ key: r => `top:${r.user_id}`, version: r => r.window_end, ttlMs: 86_400_000 }))
 */
export function redis<T>(options: RedisOptions<T>): Sink<T> {
  if (typeof options?.key !== 'function') throw new ConnectorError('redis has no key: write redis({ key: r => r.user_id })')
  const url = options.url ?? process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
  const where = `the Redis sink at ${withoutPassword(url)}`
  return {
    kind: 'redis',
    async open(context) {
      return new RedisWriter(await connect(url), options, context, where)
    },
    describe: () => `redis ${withoutPassword(url)}`,
  }
}

interface Upsert {
  /** The user's own. */
  readonly version: number | undefined
  readonly owner: string
  readonly fields: Arguments
}

class RedisWriter<T> implements SinkWriter<T> {
  private readonly client: { redis: Client; lastError(): Error | undefined }
  private readonly options: RedisOptions<T>
  private readonly where: string
  private readonly origin: string
  private readonly sink: string
  private readonly upserts = new Map<string, Upsert>()

  constructor(client: RedisWriter<T>['client'], options: RedisOptions<T>, context: SinkContext, where: string) {
    this.client = client
    this.options = options
    this.where = where
    const { run, operatorId, subtask } = context
    this.sink = `${run}/${operatorId}`
    this.origin = options.version === undefined ? `${this.sink}/${subtask}` : 'user'
  }

  write(value: T, record: { readonly key: unknown }): void {
    const { key, version, type } = this.options
    const name = key(value)
    if (typeof name !== 'string' || name === '')
      throw new ConnectorError(`${this.where}: key() gave ${JSON.stringify(name)}; it has to be a string that is not empty`)
    const order = version?.(value)
    if (version !== undefined && !Number.isFinite(order))
      throw new ConnectorError(`${this.where}: version() gave ${order} for the key ${name}; it has to be a finite number`)
    const known = this.upserts.get(name)
    if (known?.version !== undefined && order! < known.version) return
    const owner = version === undefined ? this.ownerOf(record.key) : ''
    this.upserts.set(name, { version: order, owner, fields: type === 'hash' ? this.hash(value) : [this.text(value)] })
  }

  /** One key's commits are numbered in one line, whoever has it: a shard that took over goes on behind those before it (protocol.md, F3), whose flush may hang and come late. */
  private ownerOf(key: unknown): string {
    return key === undefined ? '' : `${this.sink}/${keyId(canonicalKey(key, 'key'))}`
  }

  async flush(commit: CommitIdentity): Promise<undefined> {
    const { type = 'string', ttlMs = 0 } = this.options
    let pipeline = this.client.redis.pipeline()
    let queued = 0
    for (const [key, { version, owner, fields }] of this.upserts) {
      pipeline.millraceUpsert(key, `${key}:version`, this.origin, owner, version ?? commit.version, ttlMs, type, ...fields)
      if (++queued < PIPELINE_COMMANDS_MAX) continue
      await this.send(pipeline)
      pipeline = this.client.redis.pipeline()
      queued = 0
    }
    if (queued > 0) await this.send(pipeline)
    this.upserts.clear()
    return undefined
  }

  async close(): Promise<void> {
    this.client.redis.disconnect()
  }

  private async send(pipeline: UpsertPipeline): Promise<void> {
    try {
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
    } catch (error) {
      const cause = this.client.redis.status === 'end' ? (this.client.lastError() ?? error) : error
      throw new ConnectorError(`${this.where} failed: ${reasonOf(cause) || (cause as NodeJS.ErrnoException).code}`, { cause })
    }
  }

  private text(value: T): string {
    const text = this.options.value === undefined ? jsonLine(value, this.where).slice(0, -1) : this.options.value(value)
    if (typeof text !== 'string')
      throw new ConnectorError(
        `${this.where}: value() gave ${typeof text}, but type 'string' stores strings. Set type: 'hash' to store fields`,
      )
    return text
  }

  private hash(value: T): Arguments {
    const fields = this.options.value?.(value) ?? value
    if (typeof fields !== 'object' || fields === null)
      throw new ConnectorError(`${this.where}: value() gave ${typeof fields}, but type 'hash' stores an object's fields`)
    const flat = Object.entries(fields).flatMap(([name, field]) => [
      name,
      typeof field === 'object' ? JSON.stringify(field) : String(field),
    ])
    if (flat.length > HASH_FIELDS_MAX * 2)
      throw new ConnectorError(
        `${this.where}: a hash of ${flat.length / 2} fields is more than the ${HASH_FIELDS_MAX} that one upsert takes`,
      )
    return flat
  }
}

async function connect(url: string): Promise<RedisWriter<any>['client']> {
  // Not before it is needed: it would be a third of what a function loads at a cold start, also of stages that have no such sink.
  const { Redis } = await import('ioredis')
  let last: Error | undefined
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    connectTimeout: CONNECT_MS_MAX,
    retryStrategy: times => (times > RETRIES_MAX ? null : Math.min(times * 100, RETRY_WAIT_MS_MAX)),
  })
  redis.on('error', error => {
    last = error
  })
  redis.defineCommand('millraceUpsert', { numberOfKeys: 2, lua: UPSERT })
  return { redis: redis as unknown as Client, lastError: () => last }
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//')
}
