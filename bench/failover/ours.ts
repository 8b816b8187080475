import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Ports } from '../../runtime/ports.ts'
import { visibleRows } from '../../test/functions/embedded-world.ts'
import { openCheckpoints } from './checkpoints.ts'
import { feed } from './feed.ts'
import { openFunctions } from './functions.ts'
import { checkResults, type Result } from './results.ts'
import { CHECKPOINT_MS, eventsOf, type FailoverSettings, now, type Trace } from './settings.ts'
import { RESULTS } from './stand-in.ts'

/** From the last event until all results are visible. */
const DRAIN_MS_MAX = 120_000

/**
 * One run of the pipeline's functions, each environment a process, on embedded ports in this one, which plays Lambda's mappings and Step Functions.
 *
 * @throws Error when a result is missing, doubled or wrong
 */
export async function runOwn(settings: FailoverSettings): Promise<Trace> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-failover-'))
  const { ports, death, commits, seenFile, failed, close } = await openFunctions(settings.subtasks, dir)
  const startedAt = now()
  const timer = setTimeout(
    () => {
      death.due = settings.killAtSeconds !== undefined
    },
    (settings.killAtSeconds ?? 0) * 1000,
  )
  try {
    let fedAt: number | undefined
    const feeding = feed(ports.streams, settings, startedAt).then(() => {
      fedAt = now()
    })
    const all = Promise.all([resultsOf(ports, settings, () => fedAt), feeding])
    const [results] = await Promise.race([all, failed])
    checkResults(results, eventsOf(settings))
  } finally {
    clearTimeout(timer)
    await close()
  }
  const seen = commits.map((_, shard) => readSeen(seenFile(shard)))
  rmSync(dir, { recursive: true })
  return { startedAt, killedAt: death.at, seen, commits }
}

/** Takes checkpoints until all results are visible. `fedAt`: when the last event was put, if it was. */
async function resultsOf(ports: Ports, settings: FailoverSettings, fedAt: () => number | undefined): Promise<Result[]> {
  const checkpoint = openCheckpoints(ports, settings.subtasks)
  for (;;) {
    const begun = now()
    await checkpoint()
    const fed = fedAt()
    const found = fed === undefined ? [] : ((await visibleRows(ports.blobs, RESULTS)) as Result[])
    if (found.length >= eventsOf(settings)) return found
    if (fed !== undefined && now() > fed + DRAIN_MS_MAX)
      throw new Error(`${found.length} of ${eventsOf(settings)} results after ${DRAIN_MS_MAX} ms`)
    await ports.clock.sleep(Math.max(0, begun + CHECKPOINT_MS - now()))
  }
}

function readSeen(file: string): [number, number][] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map(line => line.split(' ').map(Number) as [number, number])
}
