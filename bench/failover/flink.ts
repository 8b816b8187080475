import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runFlinkJob } from '../flink-job.ts'
import { CHECKPOINT_MS, type FailoverSettings, type Trace, VICTIM } from './settings.ts'

const SOURCE = join(import.meta.dirname, 'flink/Failover.java')

/** Runs the job once with the Flink whose libraries are in `lib`. @throws Error when it fails */
export async function runFlinkFailover(lib: string, settings: FailoverSettings): Promise<Trace> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-trace-'))
  try {
    const { subtasks, rate, seconds, killAtSeconds } = settings
    const file = join(dir, 'trace.json')
    const args = [subtasks, rate, seconds, killAtSeconds ?? '-', CHECKPOINT_MS, VICTIM, file]
    await runFlinkJob({ source: SOURCE, lib, heap: '2g', args })
    return JSON.parse(readFileSync(file, 'utf8')) as Trace
  } finally {
    rmSync(dir, { recursive: true })
  }
}
