/** `npm run bench`: see `--help`. What is measured, and what is not, is in docs/performance.md. */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { type Arguments, parseArguments, USAGE, UsageError } from './arguments.ts'
import { BILL_USAGE, bill } from './bill/main.ts'
import { failover } from './failover/main.ts'
import { type FlinkApi, flinkHas, runFlink } from './flink.ts'
import { best, type Measured, type OwnMeasured, perCpuSecond } from './measured.ts'
import { runOurs } from './ours.ts'
import { scale } from './scale/main.ts'
import { type Row, ratio, table } from './table.ts'

/** Ours, Flink's DataStream, Flink's SQL, and again: what else the machine does meets all of them alike. */
async function measure(query: string, args: Arguments): Promise<Row> {
  const { parallelism, exactlyOnce, flink: directory } = args
  const events = args.eventsOf(query)
  const boundMs = args.boundOf(query, events.length)
  const ours: OwnMeasured[] = []
  const bounded: OwnMeasured[] = []
  const theirs: Record<FlinkApi, Measured[]> = { ds: [], sql: [] }
  for (let run = 1; run <= args.runs; run++) {
    const label = `${query}, run ${run} of ${args.runs}`
    ours.push(await told(`${label}: millrace`, () => runOurs({ query, events, boundMs, parallelism, exactlyOnce })))
    if (args.bounded) {
      const settings = { query, events, boundMs, parallelism, exactlyOnce, bounded: true }
      bounded.push(await told(`${label}: backfill`, () => runOurs(settings)))
    }
    if (directory === undefined) continue
    for (const api of ['ds', 'sql'] as const) {
      if (!flinkHas(query, api)) continue
      theirs[api].push(await told(`${label}: Flink ${api}`, () => runFlink({ directory, query, api, parallelism, exactlyOnce })))
    }
  }
  const own = { query, ours: best(ours), ...(args.bounded && { bounded: best(bounded) }) }
  if (directory === undefined) return own
  const bestOf = (runs: readonly Measured[]) => (runs.length === 0 ? undefined : best(runs))
  return { ...own, flink: { ds: bestOf(theirs.ds), sql: bestOf(theirs.sql) } }
}

/** Progress goes to standard error: the table can be piped. */
async function told<M extends Measured>(label: string, run: () => Promise<M>): Promise<M> {
  process.stderr.write(`${label} … `)
  const measured = await run()
  process.stderr.write(
    `${Math.round(perCpuSecond(measured) / 1000)} k events/CPU-s, ${measured.cpuSeconds.toFixed(1)} s of CPU\n`,
  )
  return measured
}

function asJson(args: Arguments, rows: readonly Row[]): string {
  const { parallelism, exactlyOnce, runs } = args
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version }
  const results = rows.map(row => ({ ...row, ratio: ratio(row) }))
  return `${JSON.stringify({ parallelism, exactlyOnce, runs, machine, results }, undefined, 2)}\n`
}

try {
  const words = process.argv.slice(2)
  const others = ['--scale', '--bill', '--failover'].some(word => words.includes(word))
  const args = others ? undefined : parseArguments(words)
  if (words.includes('--scale')) await scale(words)
  else if (words.includes('--failover')) await failover(words)
  else if (words.includes('--help') || words.includes('-h')) console.log(`${USAGE}\n\nThe bill:\n\n${BILL_USAGE}`)
  else if (words.includes('--bill')) await bill(words)
  else if (args !== undefined) {
    const rows: Row[] = []
    for (const query of args.queries) {
      rows.push(await measure(query, args))
      if (args.json !== undefined) writeFileSync(args.json, asJson(args, rows))
    }
    console.log(table(rows))
  }
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${USAGE}\n\nThe bill:\n\n${BILL_USAGE}`)
  else console.error((error as Error).message)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
