import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { fileOf } from './reference/run.ts'

/** The queries that Flink's bench has and that are measured when none is named. */
export const QUERIES = ['q0', 'q1', 'q2', 'q3', 'q4', 'q5', 'q6', 'q7', 'q8', 'q11', 'e1', 'e2', 'e3', 'e5']

export const USAGE = `Measures the reference queries: events a second and a CPU-second, peak memory, and what the collector took.

  npm run bench -- QUERY... --events FILE [--parallelism 1|2] [--exactly-once on|off] [--runs N] [--json FILE]
  npm run bench -- [QUERY...] --vs-flink DIR [--parallelism 1|2] [--exactly-once on|off] [--runs N] [--json FILE]
  npm run bench -- --scale …     by keys and subtasks: see --scale --help
  npm run bench -- --failover …  what the death of one subtask costs: see --failover --help

  --events FILE         NDJSON; a directory: each of its files is a split
  --bound MS            how far out of order the events may be (default: 0 for q queries with one file and 4000 with several; 10000 for e queries)
  --parallelism N       subtasks of each stage but the sources, which have one for each file (default 1); above 1 in as many threads
  --exactly-once on     a state directory and a checkpoint each second (default); off: in memory, with the last checkpoint only
  --runs N              runs of each; the best of them counts (default 1)
  --bounded             each query as a backfill too (millrace backfill, in one thread), and how it compares
  --vs-flink DIR        runs Flink's bench.sh in DIR (built, with its large data) in turn with ours, on the same data
  --json FILE           the figures as JSON as well

Queries: ${QUERIES.join(' ')}, or any other of bench/reference.`

/** A mistake in the arguments, said in one sentence. */
export class UsageError extends Error {}

export interface Arguments {
  readonly queries: readonly string[]
  /** Files of events by query. */
  readonly eventsOf: (query: string) => readonly string[]
  readonly boundOf: (query: string, files: number) => number
  readonly parallelism: number
  readonly exactlyOnce: boolean
  readonly runs: number
  readonly bounded: boolean
  readonly flink: string | undefined
  readonly json: string | undefined
}

/** Undefined: help is asked for. @throws UsageError */
export function parseArguments(words: readonly string[]): Arguments | undefined {
  const { positionals, values } = parsed(
    words,
    {
      events: { type: 'string' },
      bound: { type: 'string' },
      parallelism: { type: 'string', default: '1' },
      'exactly-once': { type: 'string', default: 'on' },
      runs: { type: 'string', default: '1' },
      bounded: { type: 'boolean' },
      'vs-flink': { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
    { named: true },
  )
  if (values.help) return undefined
  const { events, 'vs-flink': flink } = values
  if ((events === undefined) === (flink === undefined)) throw new UsageError('give either --events FILE or --vs-flink DIR')
  if (events !== undefined && positionals.length === 0) throw new UsageError('name at least one query')
  const queries = positionals.length > 0 ? positionals : QUERIES
  for (const query of queries) if (fileOf(query) === undefined) throw new UsageError(`there is no query ${query}`)
  if (flink !== undefined && !existsSync(join(flink, 'bench.sh')))
    throw new UsageError(`--vs-flink ${flink}: there is no bench.sh`)
  const once = values['exactly-once']
  if (once !== 'on' && once !== 'off') throw new UsageError(`--exactly-once ${once} has to be on or off`)
  const parallelism = wholeNumber('parallelism', values.parallelism)
  const bound = values.bound === undefined ? undefined : wholeNumber('bound', values.bound, 0)
  return {
    queries,
    eventsOf: query => (events === undefined ? flinkData(flink!, query, parallelism) : filesIn(events)),
    boundOf: (query, files) => bound ?? (query.startsWith('e') ? 10_000 : files > 1 ? 4_000 : 0),
    parallelism,
    exactlyOnce: once === 'on',
    runs: wholeNumber('runs', values.runs),
    bounded: values.bounded ?? false,
    flink,
    json: values.json,
  }
}

/** Flags, and, where they are `named`, what else there is. @throws UsageError */
export function parsed<const O extends NonNullable<ParseArgsConfig['options']>>(
  words: readonly string[],
  options: O,
  { named = false } = {},
) {
  try {
    return parseArgs({ args: [...words], allowPositionals: named, options })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** @throws UsageError */
export function wholeNumber(flag: string, text: string, least = 1): number {
  if (/^\d+$/.test(text) && Number(text) >= least) return Number(text)
  throw new UsageError(`--${flag} ${text} has to be a whole number from ${least}`)
}

function filesIn(path: string): readonly string[] {
  if (!existsSync(path)) throw new UsageError(`--events ${path}: there is no such file`)
  if (!statSync(path).isDirectory()) return [path]
  const files = readdirSync(path).sort()
  if (files.length === 0) throw new UsageError(`--events ${path}: the directory is empty`)
  return files.map(name => join(path, name))
}

/** What `bench.sh` reads: above parallelism 1 the same events in two files, where there are such. */
function flinkData(directory: string, query: string, parallelism: number): readonly string[] {
  const data = join(directory, 'data', `${query.startsWith('e') ? 'ecom' : 'nexmark'}-large`)
  const parts = `${data}.parts`
  const path = parallelism > 1 && existsSync(parts) ? parts : `${data}.ndjson`
  if (!existsSync(path)) throw new UsageError(`--vs-flink ${directory}: there is no ${path}; make it with ./gen.sh large`)
  return filesIn(path)
}
