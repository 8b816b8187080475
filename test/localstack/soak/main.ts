/** `npm run soak`: see `--help`. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { UsageError } from '../../../bench/arguments.ts'
import { endpoint } from '../resources.ts'
import { HELP, parseSoakArguments, type SoakArguments } from './options.ts'
import { progressText, reportText } from './report.ts'

const TELL_MS = 5_000

/** Gives the exit code. */
async function main(words: readonly string[]): Promise<number> {
  const args = parseSoakArguments(words)
  if (args === undefined) {
    console.log(HELP)
    return 0
  }
  return endpoint === undefined ? withLocalStack(words) : run(args)
}

/** The same command once more, with a LocalStack. */
function withLocalStack(words: readonly string[]): number {
  const script = resolve(import.meta.dirname, '../with.sh')
  const { status } = spawnSync('bash', [script, process.execPath, import.meta.filename, ...words], { stdio: 'inherit' })
  return status ?? 1
}

async function run({ json, ...options }: SoakArguments): Promise<number> {
  // Loads the pipeline and the SDK: not for --help.
  const { soak } = await import('./soak.ts')
  const began = performance.now()
  let told = Number.NEGATIVE_INFINITY
  const report = await soak(options, progress => {
    const now = performance.now()
    if (now - told < TELL_MS) return
    told = now
    process.stderr.write(`${progressText(progress, (now - began) / 1000)}\n`)
  })
  console.log(reportText(report))
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, undefined, 2)}\n`)
  return report.differences.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${HELP}` : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
