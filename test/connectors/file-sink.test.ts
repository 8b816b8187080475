import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileSink as newFileSink } from '../../runtime/connectors/file-sink.ts'
import type { Sink, SinkContext, SinkState, SinkWriter } from '../../runtime/connectors/sink.ts'
import { linesOf, SUBTASKS } from './children/file-sink-lines.ts'
import { memoryBlobs } from './memory-blobs.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace-sink-'))
let targets = 0
const fresh = () => join(root, `t${targets++}`, 'deep', 'out.ndjson')
const identity = { run: 'r', pipeline: 'p', operatorId: 'o', subtask: 0, parallelism: 1, staging: memoryBlobs() }
const context = (run = 'r', subtask = 0) => ({ ...identity, run, subtask })
const stage = (path: string) => join(path, '..', '.out.ndjson.millrace')

const writers: SinkWriter<any>[] = []
afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.close()
})

/** A file sink whose writers are closed when the test is over, as a process's end would. */
function fileSink(path: string) {
  const sink: Sink<any> = newFileSink(path)
  const commit = (run: string, checkpoint: number, parts: (SinkState | undefined)[]) =>
    sink.commit!(run, checkpoint, parts, identity)
  return {
    ...sink,
    commit,
    async open(context: SinkContext, state: SinkState | undefined) {
      const writer = await sink.open(context, state)
      writers.push(writer)
      return writer
    },
  }
}

async function put(
  writer: SinkWriter<any>,
  version: number,
  values: unknown[],
  checkpoint?: number,
): Promise<SinkState | undefined> {
  for (const value of values) writer.write(value, { timestamp: 0, key: undefined })
  return writer.flush(
    { ...identity, version, attempt: `${version}`, checkpoint: checkpoint ?? 1 },
    checkpoint === undefined ? undefined : { checkpoint },
  )
}

test('nothing is visible before the commit, and nothing but the target is left after it', async () => {
  const path = fresh()
  const sink = fileSink(path)
  const writer = await sink.open(context(), undefined)
  await put(writer, 1, [{ a: 1 }, new Date(0)])
  const part = await put(writer, 2, ['ü'], 1)
  assert.equal(existsSync(path), false)
  await sink.commit('r', 1, [part])
  await sink.commit('r', 1, [part])
  assert.equal(readFileSync(path, 'utf8'), '{"a":1}\n"1970-01-01T00:00:00.000Z"\n"ü"\n')
  assert.deepEqual(readdirSync(join(path, '..')), ['out.ndjson'])
})

test('what a failed checkpoint staged goes with the next one, in order of checkpoint, then subtask', async () => {
  const path = fresh()
  const sink = fileSink(path)
  const [a, b] = [await sink.open(context('r', 0), undefined), await sink.open(context('r', 1), undefined)]
  await put(a, 1, ['a1'], 1)
  await put(a, 2, ['a2'])
  await put(b, 1, ['b1'], 2)
  const [partA, partB] = [await put(a, 3, ['a3'], 3), await put(b, 2, ['b2'], 3)]
  await put(a, 4, ['a4'])
  await sink.commit('r', 3, [partA, partB])
  assert.equal(readFileSync(path, 'utf8'), '"a1"\n"b1"\n"a2"\n"a3"\n"b2"\n')
})

test('a flush whose commit was lost is taken back: by the same writer, and by the next process', async () => {
  const path = fresh()
  const sink = fileSink(path)
  const writer = await sink.open(context(), undefined)
  const first = await put(writer, 1, ['1'])
  await put(writer, 2, ['lost', 'lost'], 1)
  await put(writer, 2, ['lost'])
  await put(writer, 2, ['2'])
  await put(writer, 3, ['lost'], 1)
  await put(writer, 4, ['lost'])
  await writer.close()
  const again = await sink.open(context(), first)
  const part = await put(again, 2, ['two'], 1)
  await sink.commit('r', 1, [part])
  assert.equal(readFileSync(path, 'utf8'), '"1"\n"two"\n')
})

test('a new run replaces the file at its first commit, also with nothing; a resumed run goes on', async () => {
  const path = fresh()
  const sink = fileSink(path)
  let part: SinkState | undefined
  for (const run of ['r1', 'r2']) {
    const writer = await sink.open(context(run), undefined)
    part = await put(writer, 1, [run], 1)
    await sink.commit(run, 1, [part])
    await put(writer, 2, ['never committed'])
    await writer.close()
  }
  const resumed = await sink.open(context('r2'), part)
  await sink.commit('r2', 2, [await put(resumed, 2, ['more'], 2)])
  assert.equal(readFileSync(path, 'utf8'), '"r2"\n"more"\n')
  const empty = await sink.open(context('r3'), undefined)
  await sink.commit('r3', 1, [await put(empty, 1, [], 1)])
  assert.equal(readFileSync(path, 'utf8'), '')
  assert.deepEqual(readdirSync(join(path, '..')), ['out.ndjson'])
})

test('a commit that was cut short is redone', async () => {
  const path = fresh()
  const sink = fileSink(path)
  const writer = await sink.open(context(), undefined)
  await sink.commit('r', 1, [await put(writer, 1, ['one'], 1)])
  const part = await put(writer, 2, ['two'], 2)
  writeFileSync(path, '"one"\n"tw')
  await sink.commit('r', 2, [part])
  assert.equal(readFileSync(path, 'utf8'), '"one"\n"two"\n')
})

test('files that others changed are named errors', async () => {
  const path = fresh()
  const sink = fileSink(path)
  const writer = await sink.open(context(), undefined)
  await sink.commit('r', 1, [await put(writer, 1, ['one'], 1)])
  const part = await put(writer, 2, ['two'])
  truncateSync(path, 3)
  await assert.rejects(sink.commit('r', 2, [await put(writer, 3, [], 2)]), /had committed 6 bytes, but the file has only 3/)
  rmSync(stage(path), { recursive: true })
  await assert.rejects(sink.open(context(), part), /had staged 6 bytes in .* but 0 are there/)
  writeFileSync(join(root, 'file'), '')
  const blocked = await fileSink(join(root, 'file', 'out')).open(context(), undefined)
  await assert.rejects(put(blocked, 1, ['x']), /the file sink .*file\/out failed: ENOTDIR/)
  assert.throws(() => fileSink('out.ndjson.gz'), /write to out.ndjson and compress that/)
})

test('values that are no JSON are refused by name', async () => {
  const writer = await fileSink(fresh()).open(context(), undefined)
  const write = (value: unknown) => writer.write(value, { timestamp: 0, key: undefined })
  assert.throws(() => write({ a: 1n }), /the file sink .*out.ndjson can't write a record as JSON: it holds a bigint/)
  assert.throws(() => write(undefined), /it is undefined/)
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  assert.throws(() => write(cycle), /circular/)
})

test('exactly once over 40 SIGKILLs at random moments', async () => {
  const directory = mkdtempSync(join(root, 'kill-'))
  const path = join(directory, 'out.ndjson')
  const script = new URL('./children/file-sink-engine.ts', import.meta.url).pathname
  for (let kills = 0; !existsSync(join(directory, 'done')); kills++) {
    const child = spawn(process.execPath, [script, directory, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    const closed = new Promise<number | null>(resolve => child.on('close', resolve))
    await new Promise(resolve => child.stdout.once('data', resolve).once('end', resolve))
    if (kills < 40) {
      await Promise.race([sleep(Math.random() * 25), closed])
      child.kill('SIGKILL')
    }
    const code = await closed
    assert.ok(code === null || code === 0, `the child failed with ${code}`)
  }
  const versions: number[] = JSON.parse(readFileSync(join(directory, 'done'), 'utf8'))
  const lines = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  for (let subtask = 0; subtask < SUBTASKS; subtask++) {
    const expected = Array.from({ length: versions[subtask]! }, (_, v) => linesOf(subtask, v + 1)).flat()
    assert.deepEqual(
      lines.filter(line => line.subtask === subtask),
      expected,
    )
  }
  assert.equal(existsSync(stage(path)), false)
})
