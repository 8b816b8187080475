import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { segmentsOf } from '../../checkpoint/blob-names.ts'
import { within } from '../../connectors/within.ts'
import type { Clock, Random, RangedBlobs } from '../../ports.ts'
import type { Prepared } from '../job.ts'
import { KEPT_STATE } from '../kept-state.ts'
import { runPart, sinkNodes, type TaskPlace } from '../task.ts'
import { jsonBytes } from './json-blob.ts'
import { attemptsOf, keptOf, partOf, stagedOf } from './names.ts'
import { inputsOf, isThrough, partsOf, type StoredPart } from './parts.ts'
import { storedRuns, storeRuns } from './runs.ts'
import { fetchFile, type StoredFile, storeFile } from './volumes.ts'

/** A part that has spilled so much ends: what it has on disk is bounded so. */
const SPILLED_MAX = 1 << 30

/** A task of a backfill whose tasks share no disk. */
export interface StoredTask {
  readonly stage: number
  readonly shard: number
}

export interface StoredTaskOptions {
  readonly blobs: RangedBlobs
  readonly clock: Clock
  readonly random: Random
  /** Epoch ms: the part is to end then, where it can. */
  readonly pauseAt: number
  readonly spilledMax?: number
}

/**
 * Runs the next part of a task: reads what the stages before have left, works on the disk of this process, and keeps what comes of it as blobs under a name of its own. At the end it is put in the part's place, if that is
 * still free: of several that ran, or died, one counts, and the others are as if they had never been. True: the task is through.
 */
export async function runStoredTask(
  prepared: Prepared,
  { stage, shard }: StoredTask,
  options: StoredTaskOptions,
): Promise<boolean> {
  const { blobs, random } = options
  const { run } = prepared.job
  const before = await partsOf(blobs, run, stage, shard)
  if (isThrough(before)) return true
  const attempt = `${stage}-${shard}-${before.length}-${random.id()}`
  const directory = mkdtempSync(join(tmpdir(), 'millrace-task-'))
  try {
    const part = await runAttempt(prepared, { stage, shard }, attempt, directory, before.at(-1), options)
    if (await blobs.putIfAbsent(partOf(run, stage, shard, before.length), jsonBytes(part))) return part.paused === undefined
    return isThrough(await partsOf(blobs, run, stage, shard))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function runAttempt(
  prepared: Prepared,
  task: StoredTask,
  attempt: string,
  directory: string,
  before: StoredPart | undefined,
  { blobs, clock, pauseAt, spilledMax = SPILLED_MAX }: StoredTaskOptions,
): Promise<StoredPart> {
  const { run } = prepared.job
  const { stage, shard } = task
  const place: TaskPlace = {
    scratch: join(directory, 'scratch'),
    spill: join(directory, 'spill'),
    held: sink => join(directory, `held-${sink}`),
    shared: shared(blobs, run, attempt),
    runs: storedRuns(blobs),
  }
  if (before !== undefined) await fetchScratch(blobs, before, place.scratch)
  const inputs = await inputsOf(blobs, prepared.topology(), stage, shard)
  const isDue = (spilled: number) => clock.now() >= pauseAt || spilled >= spilledMax
  const result = await runPart(prepared, { ...task, inputs }, place, { pausing: { isDue, from: before?.paused } })
  const { outputs, ...kept } = result
  const key = `${attemptsOf(run)}${attempt}/`
  return {
    ...kept,
    attempt,
    firstDeadLetter: before?.firstDeadLetter ?? kept.firstDeadLetter,
    spill: await storeRuns(blobs, key, place.spill, outputs),
    scratch: result.paused === undefined ? {} : await storeScratch(blobs, `${key}scratch/`, place.scratch),
    held: await storeHeld(blobs, key, prepared, place),
  }
}

/** What a stream goes on with belongs to the attempt; what sinks stage says itself whose it is. */
function shared(blobs: RangedBlobs, run: string, attempt: string): TaskPlace['shared'] {
  const staged = within(blobs, stagedOf(run))
  const kept = within(blobs, keptOf(run, attempt))
  const of = (key: string) => (key.startsWith(KEPT_STATE) || key.startsWith(segmentsOf('').slice(0, -1)) ? kept : staged)
  return {
    put: (key, data) => of(key).put(key, data),
    putIfAbsent: (key, data) => of(key).putIfAbsent(key, data),
    get: key => of(key).get(key),
    list: (key, limit) => of(key).list(key, limit),
    delete: key => of(key).delete(key),
  }
}

async function fetchScratch(blobs: RangedBlobs, { scratch }: StoredPart, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true })
  for (const [name, file] of Object.entries(scratch)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    await fetchFile(blobs, file, join(directory, name))
  }
}

async function storeScratch(blobs: RangedBlobs, key: string, directory: string): Promise<Record<string, StoredFile>> {
  const files: Record<string, StoredFile> = {}
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const name = relative(directory, path)
    files[name] = await storeFile(blobs, key + name, path)
  }
  return files
}

async function storeHeld(
  blobs: RangedBlobs,
  key: string,
  { graph }: Prepared,
  place: TaskPlace,
): Promise<Record<number, StoredFile>> {
  const held: Record<number, StoredFile> = {}
  for (const sink of sinkNodes(graph.nodes).keys()) {
    const path = place.held(sink)
    if (existsSync(path) && statSync(path).size > 0) held[sink] = await storeFile(blobs, `${key}held-${sink}`, path)
  }
  return held
}
