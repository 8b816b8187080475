// How long a function of a pipeline takes to load: npx node bench/cold-start.ts [PIPELINE_FILE]
// Each time in a new process, as Lambda's Init phase does it, but on this machine, and without what Lambda itself takes before. Nothing is called.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle, FUNCTIONS } from '../infra/bundle.ts'

const TIMES = 15
const KB = 1000
const [, , file = 'examples/recommendations/pipeline.ts'] = process.argv

/** What the stack tells the functions: names that nothing is asked of. */
const ENVIRONMENT = {
  AWS_REGION: 'eu-west-1',
  MILLRACE_PREFIX: 'p',
  MILLRACE_LOG_TABLE: 'l',
  MILLRACE_STATE_TABLE: 's',
  MILLRACE_BUCKET: 'b',
  MILLRACE_OPTIONS: '{}',
  MILLRACE_SINKS: '{}',
  MILLRACE_METRICS: 'on',
  MODELS_URL: 'http://localhost',
}

const outdir = mkdtempSync(join(tmpdir(), 'millrace-cold-start-'))
const { loaded } = bundle(file, outdir)
const { default: app } = await import(new URL(`../${file}`, import.meta.url).href)
const sources = app.graph().nodes.flatMap((n: { source?: { name: string } }) => n.source?.name ?? [])
const MILLRACE_SOURCES = JSON.stringify(
  Object.fromEntries(sources.map((name: string) => [name, { kind: 'kinesis', stream: name }])),
)

for (const name of FUNCTIONS) {
  const path = JSON.stringify(join(outdir, `${name}.mjs`))
  const script = `const began = performance.now(); await import(${path}); const { user, system } = process.cpuUsage(BEFORE);
    console.log(performance.now() - began, (user + system) / 1000)`
  const args = ['--input-type=module', '-e', script.replace('const began', 'const BEFORE = process.cpuUsage(); const began')]
  const runs = Array.from({ length: TIMES }, () => {
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      env: { ...process.env, ...ENVIRONMENT, MILLRACE_SOURCES },
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(stderr)
    return stdout.split(' ').map(Number) as [number, number]
  })
  const middle = (i: 0 | 1) =>
    runs
      .map(r => r[i])
      .sort((a, b) => a - b)
      [TIMES >> 1]!.toFixed(0)
  console.log(
    `${name.padEnd(12)} ${(loaded[name].bytes / KB).toFixed(0)} KB: ${middle(0)} ms, ${middle(1)} ms of CPU (median of ${TIMES})`,
  )
}
rmSync(outdir, { recursive: true })
