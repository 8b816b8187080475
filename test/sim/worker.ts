import { enableCompileCache, flushCompileCache } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Leaves } from '../../runtime/sim/faults.ts'
import { changeSources } from './changes.ts'
import type { Report } from './report.ts'
import { type Job, READY, type WorkerOptions } from './worker-messages.ts'

// Half of what a process takes to begin. What is changed on import is compiled anew: Node compares the text.
enableCompileCache(join(tmpdir(), 'millrace-sim'))
const options = JSON.parse(process.argv[2]!) as WorkerOptions
const unchanged = changeSources(options.changes)
// Only now: the changes are made to what is imported from here on.
const { simulate } = await import('../../runtime/sim/simulate.ts')
const { scenarioOf } = await import('./scenarios.ts')
const { loadAll } = await import('../../runtime/sim/loaded.ts')
await loadAll()
// Processes are killed, which would leave nothing behind.
flushCompileCache()
if (unchanged().length > 0) throw new Error(`no simulation imports ${unchanged().map(c => c.file)}`)

process.send!(READY)
process.on('message', async ({ seeds, trace = false, only }: Job) => {
  const kept = only && new Set(only)
  const leavesOut: Leaves | undefined = kept && (({ number }) => !kept.has(number))
  for (const seed of seeds) {
    const lines: string[] = []
    const scenario = scenarioOf(seed, options.pipeline)
    const cpu = process.cpuUsage()
    const run = await simulate(scenario, seed, { leavesOut, ...(trace && { trace: line => lines.push(line) }) })
    const { user, system } = process.cpuUsage(cpu)
    const report: Report = {
      seed,
      pipeline: scenario.name,
      error: run.error && `${run.error.name}: ${run.error.message}`,
      virtualMs: run.virtualMs,
      cpuMs: (user + system) / 1000,
      injected: run.injected,
      outcomes: Object.fromEntries(run.outcomes),
      trace: lines,
    }
    // Whoever asked may have gone.
    process.send!(report, undefined, {}, () => {})
  }
})
process.on('disconnect', () => process.exit())
