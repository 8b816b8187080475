/** The simulator's command: `npm run sim -- --help`. */
import { availableParallelism } from 'node:os'
import { excerpt } from '../../runtime/sim/excerpt.ts'
import { HELP, type Options, parseOptions } from './arguments.ts'
import { findMutants } from './mutation.ts'
import { openTotals, type Report } from './report.ts'
import { scenarioOf } from './scenarios.ts'
import { runSeeds, workerFor } from './seeds.ts'
import { shrink } from './shrink.ts'

const LINES = 80

async function main(options: Options): Promise<number> {
  if (options.help) return say(HELP)
  if (options.mutants || options.mutant !== undefined) return plant(options)
  if (options.seed !== undefined) return one(options, options.seed)
  const totals = openTotals()
  const { from, seeds, minutes, pipeline, workers } = options
  let failed: Report | undefined
  await runSeeds({
    from,
    count: minutes === undefined ? seeds : Number.MAX_SAFE_INTEGER - from,
    ...(minutes !== undefined && { until: Date.now() + minutes * 60_000 }),
    pipeline,
    workers,
    onReport(report) {
      totals.add(report)
      if (report.error !== undefined) failed ??= report
      if (totals.runs % 1_000 === 0) say(`${totals.runs} runs`)
      return failed !== undefined
    },
  })
  say(totals.text())
  return failed === undefined ? say('nothing was found') : tell(options, failed)
}

/** Faults that are planted, each of which has to be found. */
async function plant({ mutant, pipeline, seeds: seedsMax, workers }: Options): Promise<number> {
  const survivors: string[] = []
  await findMutants(mutant, pipeline, seedsMax, workers, ({ mutant: { name }, report, seeds }) => {
    if (report === undefined) survivors.push(name)
    const by = report && `seed ${report.seed} (${report.pipeline}): ${report.error!.split('\n')[0]!.slice(0, 140)}`
    say(
      `${report === undefined ? 'SURVIVES' : 'found'} after ${String(seeds).padStart(3)} seeds  ${name}${by === undefined ? '' : `\n            ${by}`}`,
    )
  })
  if (survivors.length === 0) return say('all are found')
  say(`${survivors.length} survive`)
  return 1
}

/** One seed, as it always runs. */
async function one({ pipeline, trace }: Options, seed: number): Promise<number> {
  const worker = workerFor(seed, pipeline)
  let failed: Report | undefined
  await worker.run({ seeds: [seed], trace }, report => {
    for (const line of report.trace) say(line)
    const totals = openTotals()
    totals.add(report)
    say(totals.text())
    if (report.error !== undefined) failed = report
  })
  worker.stop()
  const name = `seed ${seed} (${pipeline ?? scenarioOf(seed).name})`
  if (failed === undefined) return say(`${name}: nothing was found`)
  say(`${name} fails: ${failed.error}`)
  return 1
}

/** A failure, and how little it takes. */
async function tell({ pipeline }: Options, failed: Report): Promise<number> {
  const { seed } = failed
  if (failed.hangs) {
    say(`\nseed ${seed} (${failed.pipeline}) fails: ${failed.error}`)
    return 1
  }
  say(`\nseed ${seed} (${failed.pipeline}) fails with ${failed.injected.length} faults: ${failed.error}`)
  const worker = workerFor(seed, pipeline)
  const least = await shrink(worker, failed)
  worker.stop()
  say(`\nit was found to fail with ${least.injected.length} of them: ${least.injected.map(i => i.fault).join(', ')}`)
  say(
    `\nwhat happens around the first faults, and at last${least.trace.length > LINES ? ` (of ${least.trace.length} lines)` : ''}:`,
  )
  for (const line of excerpt(least.trace, LINES)) say(line)
  say(`\n${least.error}`)
  say(
    `\nagain, with all that happens: npm run sim -- --seed ${seed} --trace${pipeline === undefined ? '' : ` --pipeline ${pipeline}`}`,
  )
  return 1
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

try {
  process.exitCode = await main(parseOptions(process.argv.slice(2), availableParallelism()))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 2
}
