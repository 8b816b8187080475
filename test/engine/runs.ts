import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listManifests, readManifest } from '../../runtime/checkpoint/manifest.ts'
import { supersede } from '../../runtime/checkpoint/restore.ts'
import { openRestored, readRun } from '../../runtime/checkpoint/run-meta.ts'
import { fileSink } from '../../runtime/connectors/file-sink.ts'
import { fileSource } from '../../runtime/connectors/file-source.ts'
import type { SourceConnector } from '../../runtime/connectors/source.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import type { RunOptions, RunSummary } from '../../runtime/embedded/run-options.ts'
import { openSqlite } from '../../runtime/embedded/sqlite.ts'
import type { Shape } from '../../runtime/graph/shape.ts'
import { sortedLines } from './events.ts'
import { pipelines } from './pipelines.ts'

/** Calls `each` with how many records were read so far, and waits for it. */
export function watched(connector: SourceConnector, each: (read: number) => void | Promise<void>): SourceConnector {
  let read = 0
  return {
    ...connector,
    async open(split) {
      const reader = await connector.open(split)
      return {
        async read(position, limit) {
          const batch = await reader.read(position, limit)
          read += batch.records.length
          await each(read)
          return batch
        },
        close: () => reader.close(),
      }
    },
  }
}

/** Asks the run to stop when `records` have been read. */
export const stoppingAfter = (records: number, connector: SourceConnector, stop: AbortController): SourceConnector =>
  watched(connector, read => {
    if (read >= records) stop.abort()
  })

export interface Way
  extends Pick<
    RunOptions,
    'parallelism' | 'sinks' | 'state' | 'from' | 'stateMemory' | 'keepOpen' | 'stateBackend' | 'onRescale'
  > {
  readonly out: string
  readonly stopAfter?: number
}

export function run(name: string, input: string, { out, stopAfter, ...options }: Way): Promise<RunSummary> {
  const graph = pipelines[name]!().graph()
  const side = graph.nodes.some(n => n.sink?.name === 'side')
  const sinks = { out: fileSink(`${out}.out`), ...(side ? { side: fileSink(`${out}.side`) } : {}) }
  const stop = new AbortController()
  const events = stopAfter === undefined ? fileSource([input]) : stoppingAfter(stopAfter, fileSource([input]), stop)
  return runEmbedded(graph, { sources: { events }, sinks, batchSize: 13, checkpointMs: 1, signal: stop.signal, ...options })
}

export function lines(out: string): { out: string[]; side: string[] } {
  const of = (path: string) => (existsSync(path) ? sortedLines(path) : [])
  return { out: of(`${out}.out`), side: of(`${out}.side`) }
}

export async function retained(directory: string): Promise<number[]> {
  const ports = await openEmbedded({ directory })
  try {
    return await listManifests(ports.blobs, (await readRun(ports))!.run)
  } finally {
    await ports.close()
  }
}

/** Copies what a run had written to its files by a checkpoint: a fork goes on behind that, and cuts nothing off. */
export async function copyUpTo(checkpoint: number, { state, out }: { state: string; out: string }, to: string): Promise<void> {
  const ports = await openEmbedded({ directory: state })
  try {
    const { shape, subtasks } = await readManifest(ports.blobs, (await readRun(ports))!.run, checkpoint)
    const { stages }: Shape = JSON.parse(shape)
    for (const end of ['out', 'side'].filter(name => existsSync(`${out}.${name}`))) {
      const stage = stages.findIndex(s => s.operators.some(o => o.id === `sink-${end}`))
      const index = stages[stage]!.operators.filter(o => o.type === 'sink').findIndex(o => o.id === `sink-${end}`)
      const states = subtasks.flatMap(s => (s.stage === stage ? s.head.sinks.filter(([i]) => i === index) : []))
      const bytes = states.reduce((sum, [, { total }]) => sum + Number(total), 0)
      writeFileSync(`${to}.${end}`, readFileSync(`${out}.${end}`).subarray(0, bytes))
    }
  } finally {
    await ports.close()
  }
}

/** A start of another run in the place of a directory's that dies when that has ended. */
export async function dieRestoring(directory: string): Promise<void> {
  const ports = await openEmbedded({ directory })
  const old = (await readRun(ports))!
  const died = openRestored(ports, old, undefined, async () => {
    await supersede(ports.log, old.run, 0, 'another takes its place')
    throw new Error('killed')
  })
  await assert.rejects(died, /killed/)
  await ports.close()
}

/** Nothing of a run that was gone back behind stays. */
export async function onlyOneRun(directory: string): Promise<void> {
  const ports = await openEmbedded({ directory })
  const { run } = (await readRun(ports))!
  await ports.close()
  const db = openSqlite(join(directory, 'state.db'))
  const names = [
    'select key as name from blobs',
    'select log as name from slots',
    'select log as name from floors',
    'select pk as name from base',
    'select stream as name from frames join channels on frames.id / 68719476736 = channels.id',
  ].flatMap(sql =>
    db
      .prepare(sql)
      .all()
      .map(row => String(row.name)),
  )
  db.close()
  assert.ok(names.length > 5)
  assert.deepEqual(
    names.filter(name => !name.includes(run) && !['meta', 'restoring'].includes(name)),
    [],
  )
}
