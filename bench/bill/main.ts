/** `npm run bench -- --bill`: what pipelines would cost on AWS, beside Managed Flink. docs/bill.md has what is assumed. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PRICES as prices } from '../../runtime/cli/prices.ts'
import { STATE_BACKENDS, type StateBackendName } from '../../runtime/state/backend.ts'
import { parsed, UsageError, wholeNumber } from '../arguments.ts'
import { outputOf } from '../ours.ts'
import type { Cell } from './cell.ts'
import { type Bill, eventsOfMonth, flinkMonth, idleMonth, kpusFor, monthOf, sourceStreamMonth, total } from './price.ts'
import { noted, table } from './report.ts'
import type { Simulated } from './simulate.ts'
import { times } from './usage.ts'

export const BILL_USAGE = `  npm run bench -- --bill [PIPELINE...] [--rates N,…] [--windows S,…] [--backends B,…] [--data DIR] [--json FILE]

  PIPELINE              q5, e1 or recommendations (default: all three)
  --rates N,…           events a second (default 10,100,1000,10000,50000); the bill at idle is always told
  --windows S,…         batching windows of all mappings, seconds (default 0,1,10)
  --backends B,…        where keyed state lies: table, segments (default table)
  --subtasks N          of each stage behind a shuffle, to begin with; more where the load takes more (default 1)
  --minutes N           simulated (default: by the rate, twenty at most)
  --warm N              minutes before that, which do not count (default: as many)
  --data DIR            nexmark-*.ndjson and ecom-*.ndjson (default: the small sets of the tests; see docs/bill.md)
  --json FILE           all counts as JSON as well`

const PIPELINES = ['recommendations', 'q5', 'e1']
const ROOT = join(import.meta.dirname, '../..')
/** A shard takes 1,000 records and 1 MB a second; a subtask is one CPU. */
const SHARD_RECORDS = 1000
const SHARD_BYTES = 1_000_000
const LOAD = 0.8
/** As many events as one simulation may take. */
const EVENTS_MAX = 240_000
const EVENTS_MAX_RECOMMENDATIONS = 60_000

export interface Row {
  readonly pipeline: string
  readonly rate: number
  readonly windowSeconds: number
  readonly stateBackend: StateBackendName
  readonly sourceShards: number
  readonly simulated: Simulated
  readonly bill: Bill
  readonly month: number
  readonly perMillionEvents: number
  readonly flinkKpus: number
  readonly flinkMonth: number
  readonly sourceStreamMonth: number
}

export interface Idle {
  readonly pipeline: string
  readonly stages: number
  readonly month: number
  readonly sourceStreamMonth: number
  readonly flinkMonth: number
}

export async function bill(words: readonly string[]): Promise<void> {
  const { positionals, values } = parsed(
    words,
    {
      bill: { type: 'boolean' },
      rates: { type: 'string', default: '10,100,1000,10000,50000' },
      windows: { type: 'string', default: '0,1,10' },
      backends: { type: 'string', default: 'table' },
      data: { type: 'string' },
      subtasks: { type: 'string', default: '1' },
      minutes: { type: 'string' },
      warm: { type: 'string' },
      json: { type: 'string' },
    },
    { named: true },
  )
  const unknown = positionals.find(p => !PIPELINES.includes(p))
  if (unknown !== undefined) throw new UsageError(`--bill knows ${PIPELINES.join(', ')}, and not ${unknown}`)
  const rates = numbers('rates', values.rates)
  const windows = numbers('windows', values.windows)
  const minutes = values.minutes === undefined ? undefined : wholeNumber('minutes', values.minutes)
  const warm = values.warm === undefined ? undefined : wholeNumber('warm', values.warm)
  const stateBackends = backends(values.backends)
  const subtasks = wholeNumber('subtasks', values.subtasks)
  const rows: Row[] = []
  const idle: Idle[] = []
  for (const pipeline of positionals.length > 0 ? positionals : PIPELINES) {
    for (const windowSeconds of windows)
      for (const rate of rates)
        for (const stateBackend of stateBackends) {
          const simulated = minutes ?? minutesOf(pipeline, rate)
          const wanted = { pipeline, rate, windowSeconds, stateBackend, subtasks, minutes: simulated, warm: warm ?? simulated }
          const row = await measure(wanted, values.data)
          rows.push(row)
          if (!idle.some(i => i.pipeline === pipeline)) idle.push(idleOf(row))
          if (values.json !== undefined)
            writeFileSync(values.json, `${JSON.stringify({ pricesOf: prices.collected, idle, rows }, undefined, 1)}\n`)
        }
  }
  console.log(table(rows, idle))
  console.log(noted(rows))
}

function idleOf({ pipeline, simulated }: Row): Idle {
  const { stages, looking } = simulated
  const look = times(looking, 1 / looking.invocations)
  const one = stages.map(({ source }) => ({ source, subtasks: 1 }))
  const shards = stages.filter(s => s.source).length
  return {
    pipeline,
    stages: stages.length,
    month: total(idleMonth(one, look)),
    sourceStreamMonth: sourceStreamMonth(shards),
    flinkMonth: flinkMonth(1),
  }
}

type Wanted = Pick<Row, 'pipeline' | 'rate' | 'windowSeconds' | 'stateBackend'> & {
  readonly subtasks: number
  readonly minutes: number
  readonly warm: number
}

/** Simulates with as many subtasks as the load takes, which is known when it was simulated: so perhaps twice. */
async function measure(
  { pipeline, rate, windowSeconds, stateBackend, subtasks, minutes, warm }: Wanted,
  data: string | undefined,
): Promise<Row> {
  const sourceShards = Math.max(1, Math.ceil(rate / (SHARD_RECORDS * LOAD)))
  for (let parallelism = subtasks; ; ) {
    process.stderr.write(
      `${pipeline}, ${rate} events/s, window ${windowSeconds} s, ${stateBackend}, ${sourceShards} + ${parallelism} subtasks … `,
    )
    const cell: Cell = {
      pipeline,
      data: dataOf(pipeline, data),
      rate,
      sourceShards,
      parallelism,
      windowSeconds,
      warmSeconds: warm * 60,
      seconds: minutes * 60,
      stateBackend,
    }
    const simulated: Simulated = JSON.parse(
      (
        await outputOf(process.execPath, ['--no-warnings', join(import.meta.dirname, 'cell.ts'), JSON.stringify(cell)], {
          BOUND_MS: '',
        })
      )
        .split('\n')
        .findLast(line => line.startsWith('{'))!,
    )
    const wanted = subtasksFor(simulated, parallelism)
    const month = monthOf(simulated)
    process.stderr.write(
      `$${total(month).toFixed(2)} a month${wanted > parallelism ? `, but ${wanted} subtasks are needed` : ''}\n`,
    )
    if (wanted > parallelism) {
      parallelism = wanted
      continue
    }
    const kpus = kpusFor(pipeline, rate)
    return {
      pipeline,
      rate,
      windowSeconds,
      stateBackend,
      sourceShards,
      simulated,
      bill: month,
      month: total(month),
      perMillionEvents: (total(month) / eventsOfMonth(rate)) * 1e6,
      flinkKpus: kpus,
      flinkMonth: flinkMonth(kpus),
      sourceStreamMonth: sourceStreamMonth(sourceShards),
    }
  }
}

/** By the bytes that shards take in, and the time that functions are busy. */
function subtasksFor({ stages, seconds }: Simulated, now: number): number {
  const own = stages.filter(s => !s.source)
  const into = stages.reduce((bytes, s) => bytes + s.usage.frameBytes, 0) / seconds / own.length
  const busy = Math.max(...own.map(s => s.usage.billedMs / 1000 / seconds))
  return Math.max(now, Math.ceil(into / (SHARD_BYTES * LOAD)), Math.ceil(busy / LOAD))
}

/**
 * Both phases end with a checkpoint that folds what was logged since the one before that did. As many minutes each as there may be events for, twenty at most: folds may be an hour apart, so
 * that they come more often here than they would, and cost more.
 */
function minutesOf(pipeline: string, rate: number): number {
  const eventsMax = pipeline === 'recommendations' ? EVENTS_MAX_RECOMMENDATIONS : EVENTS_MAX
  return Math.max(1, Math.min(20, Math.floor(eventsMax / (2 * 60 * rate))))
}

function dataOf(pipeline: string, directory: string | undefined): string {
  if (pipeline === 'recommendations') return join(ROOT, 'examples/recommendations')
  const data = directory ?? join(ROOT, 'test/reference/data')
  if (!existsSync(data)) throw new UsageError(`--data ${data}: there is no such directory`)
  return data
}

function numbers(flag: string, text: string): number[] {
  const found = text.split(',').map(Number)
  if (found.every(n => Number.isInteger(n) && n >= 0)) return found
  throw new UsageError(`--${flag} ${text} has to be whole numbers, with commas between them`)
}

function backends(text: string): StateBackendName[] {
  return text.split(',').map(name => {
    const known = STATE_BACKENDS.find(backend => backend === name)
    if (known === undefined) throw new UsageError(`--backends ${text}: there is ${STATE_BACKENDS.join(' and ')}`)
    return known
  })
}
