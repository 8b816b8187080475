import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { outputOf } from '../ours.ts'
import { CHECKPOINT_MS, type FailoverSettings, type Trace, VICTIM } from './settings.ts'

const SOURCE = join(import.meta.dirname, 'flink/Failover.java')
/** As bench.sh gives them. */
const OPENS = ['java.util', 'java.lang', 'java.time', 'java.nio', 'sun.nio.ch'].map(p => `--add-opens=java.base/${p}=ALL-UNNAMED`)

/** Compiles the job against the Flink whose libraries are in `lib`, and runs it once. @throws Error when it fails */
export async function runFlinkFailover(lib: string, settings: FailoverSettings): Promise<Trace> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-flink-'))
  const jars = join(lib, '*')
  await outputOf('javac', ['-cp', jars, '-d', dir, SOURCE])
  const { subtasks, rate, seconds, killAtSeconds } = settings
  const file = join(dir, 'trace.json')
  const args = [subtasks, rate, seconds, killAtSeconds ?? '-', CHECKPOINT_MS, VICTIM, file].map(String)
  await outputOf('java', ['-Xmx2g', ...OPENS, '-cp', `${dir}:${jars}`, 'Failover', ...args])
  const trace = JSON.parse(readFileSync(file, 'utf8')) as Trace
  rmSync(dir, { recursive: true })
  return trace
}
