/**
 * The least engine that a transactional sink needs: two subtasks whose commits are files put in place by rename, checkpoints over both, some of which fail,
 * some commits that are tried again. Killed and started again, it goes on from those files.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileSink } from '../../../runtime/connectors/file-sink.ts'
import type { SinkState, SinkWriter } from '../../../runtime/connectors/sink.ts'
import { memoryBlobs } from '../memory-blobs.ts'
import { linesOf, SUBTASKS, VERSIONS } from './file-sink-lines.ts'

interface Log {
  version: number
  state?: SinkState
  cuts: Record<number, SinkState | null>
}
const [directory, target] = process.argv.slice(2) as [string, string]
const run = 'run/1'
const sink = fileSink(target)
const put = (name: string, value: unknown) => {
  writeFileSync(join(directory, `${name}.tmp`), JSON.stringify(value))
  renameSync(join(directory, `${name}.tmp`), join(directory, name))
}
const get = <T>(name: string, otherwise: T): T =>
  existsSync(join(directory, name)) ? JSON.parse(readFileSync(join(directory, name), 'utf8')) : otherwise
const identity = { run, pipeline: 'test', operatorId: 'sink', parallelism: SUBTASKS, staging: memoryBlobs() }

const logs = Array.from({ length: SUBTASKS }, (_, i) => get<Log>(`log-${i}`, { version: 0, cuts: {} }))
let { n: checkpoint, complete } = get('checkpoint', { n: 0, complete: 0 })
const partsOf = (n: number) => logs.map(log => log.cuts[n] ?? undefined)
const writers: SinkWriter<any>[] = []
if (complete > 0) await sink.commit!(run, complete, partsOf(complete), identity)
for (const [subtask, log] of logs.entries()) writers.push(await sink.open({ ...identity, subtask }, log.state))
process.stdout.write('ready\n')

async function commit(subtask: number, cut?: number): Promise<void> {
  const log = logs[subtask]!
  const version = log.version + 1
  const lost = Math.random() < 0.1
  for (let attempt = lost ? 0 : 1; attempt < 2; attempt++) {
    // A lost attempt wrote something else, and maybe at another cut.
    for (const line of attempt === 0 ? ['lost'] : linesOf(subtask, version))
      writers[subtask]!.write(line, { timestamp: 0, key: undefined })
    const at = attempt === 0 && Math.random() < 0.5 ? undefined : cut
    const state = await writers[subtask]!.flush(
      { ...identity, subtask, version, attempt: String(attempt), checkpoint: cut ?? checkpoint + 1 },
      at === undefined ? undefined : { checkpoint: at },
    )
    if (attempt === 1) log.state = state
  }
  log.version = version
  if (cut !== undefined) log.cuts[cut] = log.state ?? null
  put(`log-${subtask}`, log)
}

while (logs.some(log => log.version < VERSIONS)) {
  const subtask = logs[0]!.version <= logs[1]!.version ? 0 : 1
  if (Math.random() < 0.8) await commit(subtask)
  else {
    checkpoint++
    put('checkpoint', { n: checkpoint, complete })
    await commit(subtask, checkpoint)
    if (Math.random() < 0.3) continue
    await commit(1 - subtask, checkpoint)
    complete = checkpoint
    put('checkpoint', { n: checkpoint, complete })
    await Promise.all([sink.commit!(run, complete, partsOf(complete), identity), commit(subtask)])
  }
}
checkpoint++
for (let i = 0; i < SUBTASKS; i++) await commit(i, checkpoint)
put('checkpoint', { n: checkpoint, complete: checkpoint })
await sink.commit!(run, checkpoint, partsOf(checkpoint), identity)
for (const writer of writers) await writer.close()
put(
  'done',
  logs.map(log => log.version),
)
