/**
 * One query, run once in a process of its own: started by `main.ts`, which reads the line of JSON that it prints.
 *
 *   npx node bench/one-run.ts '{"query":"q5","events":["events.ndjson"],"boundMs":0,"parallelism":1,"exactlyOnce":true}'
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PerformanceObserver, performance } from 'node:perf_hooks'
import { MillraceError } from 'millrace'
import { runBounded } from '../runtime/batch/run.ts'
import { runEmbedded } from '../runtime/embedded/engine.ts'
import type { RunSettings } from './measured.ts'
import query from './thread.ts'

/** Between the starts of two checkpoints, exactly-once on: as often as Flink takes them in its bench. */
const CHECKPOINT_MS = 1000
/** Off: none while it runs. */
const NEVER_MS = 2 ** 31

let gcMs = 0
new PerformanceObserver(list => {
  for (const pause of list.getEntries()) gcMs += pause.duration
}).observe({ entryTypes: ['gc'] })

async function run(settings: RunSettings): Promise<void> {
  const { exactlyOnce } = settings
  const state = exactlyOnce ? mkdtempSync(join(tmpdir(), 'millrace-bench-')) : undefined
  const startedAt = performance.now()
  try {
    const summary = settings.bounded ? await backfill(settings, state) : await stream(settings, state)
    const seconds = (performance.now() - startedAt) / 1000
    // Of the whole process with all its threads, from its start: compiling the sources is in it.
    const { user, system } = process.cpuUsage()
    await new Promise(resolve => setImmediate(resolve)) // pauses are told late
    console.log(
      JSON.stringify({
        events: summary.events,
        results: summary.results,
        late: summary.late,
        seconds,
        // Since the process began.
        processSeconds: performance.now() / 1000,
        cpuSeconds: (user + system) / 1e6,
        peakMb: process.resourceUsage().maxRSS / 1024,
        gcShare: gcMs / 1000 / seconds,
        checkpoints: summary.checkpoints.completed,
      }),
    )
  } finally {
    if (state !== undefined) rmSync(state, { recursive: true, force: true })
  }
}

async function stream(settings: RunSettings, state: string | undefined) {
  const { parallelism, exactlyOnce } = settings
  const { graph, ...bindings } = await query(settings)
  return runEmbedded(graph, {
    ...bindings,
    parallelism,
    ...(parallelism > 1 && {
      threads: { count: parallelism, module: new URL('./thread.ts', import.meta.url), data: settings },
    }),
    state,
    checkpointMs: exactlyOnce ? CHECKPOINT_MS : NEVER_MS,
  })
}

async function backfill(settings: RunSettings, state: string | undefined) {
  const { graph, sinks } = await query(settings)
  const { parallelism, events } = settings
  const summary = await runBounded(graph, { sources: { events }, sinks, parallelism, state })
  return { ...summary, checkpoints: { completed: 0 } }
}

try {
  await run(JSON.parse(process.argv[2]!))
} catch (error) {
  console.error(error instanceof MillraceError ? error.message : error)
  process.exitCode = 1
}
