/**
 * One long run that is killed with SIGKILL again and again, at random moments, and ends like one that nobody disturbs.
 *
 *   node test/engine/kills.ts [KILLS] [EVENTS]
 *
 * Default: 200 kills, 120,000 events. Ends with 1 if the results differ, or it came to its end before so many kills. kill.test.ts is the short form.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate, sortedLines, writeEvents } from './events.ts'

const CHILD = join(import.meta.dirname, 'children/run.ts')
const SINKS = ['late', 'top', 'activity', 'joined']
const PARALLELISM = 2

const kills = Number(process.argv[2] ?? 200)
const events = Number(process.argv[3] ?? 120_000)
const root = mkdtempSync(join(tmpdir(), 'millrace-kills-'))
const input = writeEvents(join(root, 'events.ndjson'), generate(events, 3))

/** Whether it came to its end before `ms` were over. */
function run(dir: string, ms: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CHILD, input, dir, String(PARALLELISM)], { stdio: ['ignore', 'ignore', 'inherit'] })
    const timer = Number.isFinite(ms) ? setTimeout(() => child.kill('SIGKILL'), ms) : undefined
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (code === 0 || signal === 'SIGKILL') resolve(code === 0)
      else reject(new Error(`the run ended with ${code ?? signal}`))
    })
  })
}

const began = performance.now()
await run(join(root, 'calm'), Number.POSITIVE_INFINITY)
const calmMs = performance.now() - began
console.log(`an undisturbed run takes ${Math.round(calmMs)} ms`)
let killed = 0
// Beside its start each has a part of the whole to do, on average, and the last run what is left.
const startMs = 600
for (let ended = false; killed < kills && !ended; ) {
  ended = await run(join(root, 'killed'), startMs * Math.random() + (1.6 * Math.random() * (calmMs + kills * startMs)) / kills)
  if (!ended) killed++
  if (killed % 20 === 0) console.log(`${killed} kills`)
}
await run(join(root, 'killed'), Number.POSITIVE_INFINITY)
for (const sink of SINKS)
  assert.deepEqual(sortedLines(join(root, 'killed', `${sink}.ndjson`)), sortedLines(join(root, 'calm', `${sink}.ndjson`)), sink)
console.log(`${killed} kills: the same results`)
if (killed < kills) {
  console.error(`it came to its end before ${kills} kills: give it more than ${events} events`)
  process.exitCode = 1
}
rmSync(root, { recursive: true })
