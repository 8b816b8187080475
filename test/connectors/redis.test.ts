import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { type RedisOptions, redis } from '../../runtime/connectors/redis.ts'
import { memoryBlobs } from './memory-blobs.ts'

const missing =
  spawnSync('redis-server', ['--version']).error !== undefined && 'redis-server is not installed (apt-get install redis-server)'
if (missing) process.stdout.write(`Redis sink: skipped, ${missing}\n`)

const directory = mkdtempSync(join(tmpdir(), 'millrace-redis-'))
const identity = { run: 'r1', pipeline: 'p', operatorId: 'sink', subtask: 0, parallelism: 1, staging: memoryBlobs() }
let port: number
let server: ChildProcess
let client: Redis

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as { port: number }
  await new Promise(resolve => probe.close(resolve))
  return port
}

function start(): ChildProcess {
  return spawn(
    'redis-server',
    ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'yes'],
    { stdio: 'ignore' },
  )
}

before(async () => {
  if (missing) return
  port = await freePort()
  server = start()
  client = new Redis(port)
  client.on('error', () => {})
  await client.ping()
})
after(() => {
  client?.disconnect()
  server?.kill()
  rmSync(directory, { recursive: true, force: true })
})

interface Row {
  k: string
  n: number
  end?: number
}

/** One flush of a subtask that starts anew, as after a crash. */
async function flush(
  rows: Row[],
  version: number,
  options: Partial<RedisOptions<Row>> = {},
  { keyed = true, ...who }: Partial<typeof identity> & { keyed?: boolean } = {},
) {
  const context = { ...identity, ...who }
  const writer = await redis<Row>({ url: `redis://127.0.0.1:${port}`, key: r => r.k, ...options }).open(context, undefined)
  try {
    for (const row of rows) writer.write(row, { timestamp: 0, key: keyed ? row.k : undefined })
    await writer.flush({ ...context, version, attempt: `${Math.random()}`, checkpoint: 1 }, undefined)
  } finally {
    await writer.close()
  }
}
const value = async (key: string) => JSON.parse((await client.get(key)) ?? 'null')?.n

test('a replay of an older commit changes nothing; the same commit again overwrites', { skip: missing }, async () => {
  await flush(
    [
      { k: 'a', n: 1 },
      { k: 'a', n: 2 },
      { k: 'b', n: 1 },
    ],
    5,
  )
  assert.equal(await value('a'), 2)
  await flush([{ k: 'a', n: 99 }], 4)
  assert.equal(await value('a'), 2)
  await flush([{ k: 'a', n: 3 }], 5)
  assert.equal(await value('a'), 3)
  await flush([{ k: 'a', n: 4 }], 10)
  await flush([{ k: 'a', n: 5 }], 9)
  assert.equal(await value('a'), 4)
  assert.equal(await value('b'), 1)
})

test('another run or subtask counts its commits by itself', { skip: missing }, async () => {
  await flush([{ k: 'run', n: 1 }], 50)
  await flush([{ k: 'run', n: 2 }], 1, {}, { run: 'r2' })
  assert.equal(await value('run'), 2)
})

test('what a subtask flushes late does not replace what the one has written that took over its keys (F3)', {
  skip: missing,
}, async () => {
  await flush([{ k: 'moved', n: 1 }], 10)
  await flush([{ k: 'moved', n: 2 }], 12, {}, { subtask: 2 })
  assert.equal(await value('moved'), 2)
  await flush([{ k: 'moved', n: 3 }], 11)
  assert.equal(await value('moved'), 2)
  // Without a key nobody knows whether one took over from the other: the last one stays.
  for (const subtask of [0, 2, 0]) await flush([{ k: 'anyone', n: subtask }], 9 - subtask, {}, { subtask, keyed: false })
  await flush([{ k: 'anyone', n: 7 }], 3, {}, { subtask: 2, keyed: false })
  assert.equal(await value('anyone'), 7)
})

test('a version of the user is the only order, over runs, subtasks and within a commit', { skip: missing }, async () => {
  const version = { version: (r: Row) => r.end! }
  await flush(
    [
      { k: 'w', n: 2, end: 1_700_000_120_000 },
      { k: 'w', n: 1, end: 1_700_000_060_000 },
    ],
    1,
    version,
  )
  assert.equal(await value('w'), 2)
  await flush([{ k: 'w', n: 1, end: 1_700_000_060_000 }], 9, version, { run: 'r9', subtask: 3 })
  assert.equal(await value('w'), 2)
  await flush([{ k: 'w', n: 3, end: 1_700_000_120_000 }], 1, version)
  assert.equal(await value('w'), 3)
  await assert.rejects(flush([{ k: 'w', n: 1 }], 1, version), /version\(\) gave undefined for the key w/)
})

test('a hash is replaced whole, and lives as long as it is told', { skip: missing }, async () => {
  await flush([{ k: 'h', n: 1, end: 5 }], 1, { type: 'hash', ttlMs: 50_000 })
  await flush([{ k: 'h', n: 2 }], 2, { type: 'hash', ttlMs: 50_000, value: r => ({ n: r.n }) })
  assert.deepEqual(await client.hgetall('h'), { n: '2' })
  for (const key of ['h', 'h:version']) {
    const ttl = await client.pttl(key)
    assert.ok(ttl > 40_000 && ttl <= 50_000, `${key} lives ${ttl} ms`)
  }
})

test('a large commit goes in several pipelines', { skip: missing }, async () => {
  await flush(
    Array.from({ length: 5500 }, (_, n) => ({ k: `many:${n}`, n })),
    1,
  )
  assert.equal(await value('many:0'), 0)
  assert.equal(await value('many:5499'), 5499)
})

test('a server that goes away and comes back costs time, not data', { skip: missing }, async () => {
  const writer = await redis<Row>({ url: `redis://127.0.0.1:${port}`, key: r => r.k }).open(identity, undefined)
  writer.write({ k: 'back', n: 1 }, { timestamp: 0, key: 'back' })
  await writer.flush({ ...identity, version: 1, attempt: 'a', checkpoint: 1 }, undefined)
  const gone = new Promise(resolve => server.once('exit', resolve))
  server.kill('SIGKILL')
  await gone
  setTimeout(() => {
    server = start()
  }, 500)
  writer.write({ k: 'back', n: 2 }, { timestamp: 0, key: 'back' })
  await writer.flush({ ...identity, version: 2, attempt: 'a', checkpoint: 1 }, undefined)
  await writer.close()
  assert.equal(await value('back'), 2)
})

test('a server that refuses is named, without its password', { skip: missing }, async () => {
  await assert.rejects(flush([{ k: 'x', n: 1 }], 1, { url: `redis://user:secret@127.0.0.1:${port}` }), error => {
    assert.match(String(error), /the Redis sink at redis:\/\/127.0.0.1:\d+ failed/)
    assert.doesNotMatch(String(error), /secret/)
    return true
  })
})

test('a server that stays away ends in a named error', { timeout: 300_000 }, async () => {
  const started = Date.now()
  await assert.rejects(
    flush([{ k: 'x', n: 1 }], 1, { url: 'redis://127.0.0.1:1' }),
    /the Redis sink at redis:\/\/127.0.0.1:1 failed: connect ECONNREFUSED/,
  )
  assert.ok(Date.now() - started < 120_000)
})
