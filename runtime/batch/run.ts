import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { StateMismatchError } from '../checkpoint/run-meta.ts'
import { systemRandom } from '../embedded/clock.ts'
import { openEmbedded } from '../embedded/ports.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import { shapeOf } from '../graph/shape.ts'
import { directoryBlobs } from '../savepoint/directory.ts'
import { BackfillError } from './error.ts'
import { inline } from './executor.ts'
import { isHandedOver, writeHandover } from './handover.ts'
import { inputOf } from './input.ts'
import { Files, type Job, type Prepared, prepare } from './job.ts'
import { readJson, writeJson } from './json-file.ts'
import type { BoundedOptions, BoundedSummary } from './options.ts'
import { Schedule } from './schedule.ts'
import { settleSinks } from './settle-sinks.ts'
import { summaryOf } from './summary.ts'

/** Of the heap that V8 may have: what the state of a task may take where nobody says. */
const STATE_MEMORY_SHARE = 1 / 4
const PROGRESS_MS = 250

/**
 * Runs a pipeline over input that is there already: stage by stage, each behind the end of the ones before it, each subtask over its records in order of event time. Its results are
 * those of a streaming run whose watermarks are perfect, so that no record is late (docs/backfill.md).
 *
 * @throws MillraceError for a source without input, a directory that belongs to another run, and whatever stops a task
 */
export async function runBounded(graph: LogicalGraph, options: BoundedOptions): Promise<BoundedSummary> {
  const kept = options.state !== undefined
  const directory = kept ? resolve(options.state) : mkdtempSync(join(tmpdir(), 'millrace-backfill-'))
  mkdirSync(directory, { recursive: true })
  // One process at a time.
  const lock = kept ? await openEmbedded({ directory }) : undefined
  try {
    return await run(graph, options, directory)
  } finally {
    await lock?.close()
    if (!kept) rmSync(directory, { recursive: true, force: true })
  }
}

async function run(graph: LogicalGraph, options: BoundedOptions, directory: string): Promise<BoundedSummary> {
  const startedAt = Date.now()
  const files = new Files(directory)
  const job = await openJob(graph, options, files)
  const finished = readJson<BoundedSummary>(files.summary)
  const { thenLive } = options
  const isThere = thenLive !== undefined && (await isHandedOver(thenLive, job.run))
  if (finished !== undefined && thenLive !== undefined && !isThere)
    throw new BackfillError(
      `the backfill in ${directory} is finished, and its savepoint is not at ${thenLive.name}, but where it was to be left: copy it from there, or begin again with another state directory`,
    )
  if (finished !== undefined) return { ...finished, resumed: true, elapsedMs: Date.now() - startedAt }
  const stateMemory = options.stateMemory ?? getHeapStatistics().heap_size_limit * STATE_MEMORY_SHARE
  const prepared = prepare(graph, job, directory, options.sinks ?? {}, stateMemory, options.input)
  const schedule = new Schedule(prepared)
  const { resumed } = schedule
  const { signal, onProgress } = options
  const tell = () => onProgress?.({ stages: schedule.progress(Date.now()), elapsedMs: Date.now() - startedAt })
  const timer = setInterval(tell, PROGRESS_MS)
  const executor = options.executor?.(job, directory) ?? inline(prepared, signal)
  try {
    await schedule.run(executor, signal)
    if (options.thenLive !== undefined) await writeHandover(prepared, directoryBlobs(files.blobs), options.thenLive)
    await settleSinks(prepared, schedule.results)
  } catch (error) {
    if (!signal?.aborted) throw error
    return summarised('stopped', prepared, schedule, resumed, startedAt)
  } finally {
    clearInterval(timer)
    await executor.close()
    tell()
  }
  const summary = summarised('finished', prepared, schedule, resumed, startedAt)
  if (options.state !== undefined) writeJson(files.summary, summary)
  for (const path of files.passing) rmSync(path, { recursive: true, force: true })
  return summary
}

/** What a directory's run is of. */
interface Kept {
  readonly pipeline: string
  readonly shape: string
  readonly job: Job
}

/** The job that the directory holds, if it is this one, or a new one. */
async function openJob(graph: LogicalGraph, options: BoundedOptions, files: Files): Promise<Job> {
  if (options.thenLive !== undefined && options.until === undefined)
    throw new BackfillError(
      'a backfill that a stream is to go on from needs to know at what event time that takes over: say until when it reads',
    )
  const kept = readJson<Kept>(files.job)
  const parallelism =
    options.parallelism ?? kept?.job.parallelism ?? graph.options.parallelism ?? defaultParallelism(graph, options)
  const { since, until } = options
  const job: Job = {
    run: kept?.job.run ?? systemRandom.id(),
    parallelism,
    ...(await inputOf(
      graph.nodes.flatMap(n => (n.source === undefined ? [] : [n.source.name])),
      options,
    )),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    thenLive: options.thenLive !== undefined,
  } as Job
  const shape = shapeOf(prepare(graph, job, files.directory, {}, 0).plan)
  const wanted: Kept = { pipeline: graph.name, shape, job }
  if (kept === undefined) writeJson(files.job, wanted, { synced: options.state !== undefined })
  else checkSame(kept, wanted, files.directory)
  return job
}

/** That of the stream that is to go on, or all cores. */
function defaultParallelism({ options }: LogicalGraph, { thenLive }: BoundedOptions): number {
  return thenLive === undefined ? Math.min(availableParallelism(), options.keyGroups ?? Number.POSITIVE_INFINITY) : 1
}

function checkSame(kept: Kept, wanted: Kept, directory: string): void {
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
  const what = !same(kept.pipeline, wanted.pipeline)
    ? `of the pipeline '${kept.pipeline}'`
    : !same(kept.job.parallelism, wanted.job.parallelism)
      ? `at parallelism ${kept.job.parallelism}`
      : !same(kept.shape, wanted.shape)
        ? 'of a pipeline with other stages or operators'
        : !same([kept.job.since, kept.job.until, kept.job.thenLive], [wanted.job.since, wanted.job.until, wanted.job.thenLive])
          ? 'of another time range, or with another end'
          : !same(kept.job.pieces, wanted.job.pieces)
            ? 'over other input: files have come, gone or changed since'
            : undefined
  if (what !== undefined)
    throw new StateMismatchError(
      `the backfill in ${directory} was begun ${what}: give it what it was begun with, or another --state directory`,
    )
}

function summarised(
  outcome: BoundedSummary['outcome'],
  { plan, job, graph }: Prepared,
  { results }: Schedule,
  resumed: boolean,
  startedAt: number,
): BoundedSummary {
  const { run, skippedFiles } = job
  const stages = plan.stages.map((stage, i) => {
    const done = results[i]!.flatMap(r => r ?? [])
    const written = done.map(r => r.written)
    return { id: stage.id, isSource: stage.source !== undefined, subtasks: results[i]!.length, results: done, written }
  })
  const elapsedMs = Date.now() - startedAt
  return summaryOf({ outcome, pipeline: graph.name, run, resumed, skippedFiles, elapsedMs }, stages)
}
