import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { isS3, localFiles } from '../../batch/input-files.ts'
import type { BoundedOptions, BoundedSummary } from '../../batch/options.ts'
import { refuseOwnInput } from '../../connectors/own-input.ts'
import type { LogicalGraph } from '../../graph/graph.ts'
import { checkOwnTargets, sinksOf, sinkTargets, usage } from '../bindings.ts'
import type { Arguments, Command } from '../command.ts'
import { directoryAsUsage, UsageError } from '../error.ts'
import { loadGraph } from '../load.ts'
import { positiveInteger } from '../parse.ts'
import { makePlan } from '../plan.ts'
import { savepointPlace } from '../savepoint/place.ts'
import { stopSignal } from '../signals.ts'
import { STACK_FLAGS } from '../stack/stack.ts'
import { checkDirectory } from '../targets.ts'
import { anyFiles } from './input.ts'
import { placesOf } from './places.ts'
import { rangeOf, slackOf } from './time-range.ts'
import { backfillText, backfillView } from './view.ts'

/** Of the heap of a thread: what the state of its task may take. */
const STATE_MEMORY_SHARE = 1 / 4

export const backfill: Command = {
  name: 'backfill',
  summary: 'Run a pipeline over files that are there already, stage by stage',
  description: `Runs the pipeline that FILE exports over archives: NDJSON, plain, gzip or zstd, CSV and Parquet, in files and directories, or in S3 (s3://BUCKET/KEY, with the credentials that the AWS CLI would take). Each stage finishes before the next one starts, and each of its subtasks
reads its records in order of event time: nothing is late, whatever order the files are in, and the results are those of a run whose watermarks are perfect.
A directory is read with all that is below it, in order of path, but for names that begin with a dot or an underscore. Large plain files are read in parallel.
All cores work on it. With --state, what is finished is kept in DIR, and the same command goes on from there when it was stopped or killed; without, it works in a temporary directory, which takes as much room as the
records that travel between stages. Results are written when all of them are there.
With --then-live, what is not due at --until does not fire: it is in a savepoint, with all state, and millrace run FILE --from-snapshot DIR --source NAME=STREAM goes on from there. Its sources pass over what is
before --until, so that archive and stream may overlap; choose a time before which the archive is whole.
With --stack, the functions of a deployed pipeline do it, in parallel, and its sinks get the results: all places are s3:// then, and of buckets that the construct names in \`backfill\`. What it will cost, about, is told
before it starts. The same command shows a backfill that runs, goes on with one that failed, and tells of one that is through. --then-live NAME leaves the savepoint in the stack's bucket, at savepoints/NAME.
Without --stack, Ctrl-C stops at once (exit code 1, as nothing was written yet); with --state, the same command goes on. Progress goes to standard error.`,
  positionals: [{ name: 'FILE', unless: 'stack', help: 'the TypeScript file whose default export is the pipeline' }],
  flags: {
    from: {
      value: '[NAME=]PLACE',
      repeats: true,
      help: 'Read the source NAME from a file, a directory or s3://BUCKET/KEY; without NAME: the only source, or each from the folder of its name in PLACE',
    },
    since: {
      value: 'TIME',
      help: 'Only records whose event time is not before TIME: 2026-01-31, 2026-01-31T12:00:00Z or epoch ms',
    },
    until: { value: 'TIME', help: 'Only records whose event time is before TIME' },
    slack: {
      value: 'DURATION',
      help: 'Read also folders of a time so far outside of the range, as events may have come late: 0s, 7d (default 1d)',
    },
    sink: { value: 'NAME=PATH', repeats: true, help: "Write the sink NAME to an NDJSON file ('-': standard output)" },
    out: { value: 'DIR', help: 'Write every sink without --sink to DIR/NAME.ndjson' },
    state: { value: 'DIR', help: 'Keep what is finished in DIR and go on from there' },
    'then-live': {
      value: 'DIR',
      help: 'With --until: leave a savepoint in DIR (or at s3://BUCKET/KEY) from which millrace run goes on with the stream, from --until on',
    },
    parallelism: {
      value: 'N',
      help: "Subtasks of each stage whose operators set none (default: the pipeline's own, or the number of cores)",
    },
    workers: { value: 'N', help: 'Threads (default: one for each core). Results do not depend on it' },
    json: { help: 'Print the summary as JSON' },
    ...STACK_FLAGS,
    concurrency: { value: 'N', help: 'With --stack: so many functions at a time, at most (default 100)' },
    name: { value: 'NAME', help: 'With --stack: the name of the backfill (default: of its input, range, parallelism and code)' },
    yes: { help: 'With --stack: start without being asked' },
    cancel: { help: 'With --stack: stop the backfills that run' },
  },
  examples: [
    'millrace backfill trending.ts --from archive/ --out results',
    'millrace backfill --stack Trending --from s3://archive/clicks --since 2026-01-01 --until 2026-02-01',
    'millrace backfill trending.ts --from clicks=archive/clicks --from views=archive/views --since 2026-01-01 --until 2026-02-01 --out january --state work',
  ],
  run: runBackfill,
}

async function runBackfill(args: Arguments): Promise<number> {
  if (args.text('stack') !== undefined) return (await import('../stack/backfill/on-stack.ts')).backfillOnStack(args)
  for (const flag of ['pipeline', 'concurrency', 'name', 'yes', 'cancel'])
    if (args.has(flag) || args.text(flag) !== undefined) throw new UsageError(`--${flag} is of a backfill with --stack`)
  const [file] = args.positionals as [string]
  const parallelism = positiveInteger(args, 'parallelism')
  const workers = positiveInteger(args, 'workers') ?? availableParallelism()
  const range = { ...rangeOf(args.text('since'), args.text('until')), ...slackOf(args.text('slack')) }
  const state = args.text('state')
  if (args.text('then-live') !== undefined && range.until === undefined)
    throw new UsageError('--then-live needs --until: the event time from which on the stream is read')
  if (state !== undefined) checkDirectory(state, `--state ${state}`)
  if (args.texts('from').length === 0) throw new UsageError('--from is missing: name the files or directories to read')
  const graph = await loadGraph(file)
  if (!graph.nodes.some(node => node.sink !== undefined))
    throw new UsageError(
      `${file}: the pipeline has no sink, so that nothing would come of it: end a stream with .sink('name', print())`,
    )
  const sources = placesOf(
    graph.nodes.flatMap(n => (n.source === undefined ? [] : [n.source.name])),
    args.texts('from'),
  )
  const targets = await targetsOf(graph, args, sources)
  await makePlan(graph, file, parallelism)
  const summary = await directoryAsUsage(() =>
    withPlace(args.text('then-live'), thenLive =>
      withThreads(graph, file, targets, workers, { sources, parallelism, state, thenLive, ...range }),
    ),
  )
  const printed = Object.values(targets).includes('-') && !args.has('json')
  const text = args.has('json') ? `${JSON.stringify(summary, undefined, 2)}\n` : backfillText(summary, targets)
  const out = printed ? process.stderr : process.stdout
  out.write(text)
  return summary.outcome === 'finished' ? 0 : 1
}

async function targetsOf(
  graph: LogicalGraph,
  args: Arguments,
  sources: Readonly<Record<string, readonly string[]>>,
): Promise<Record<string, string>> {
  const targets = sinkTargets(graph, args.texts('sink'), args.text('out'))
  checkOwnTargets(graph, targets)
  const sinks = sinksOf(targets)
  const read = await Promise.all(
    Object.entries(sources).map(async ([name, places]) => [name, { files: await filesOn(places) }] as const),
  )
  usage(() =>
    refuseOwnInput(
      read,
      graph.nodes.flatMap(({ sink }) => (sink ? [[sink.name, sinks[sink.name] ?? sink.sink] as const] : [])),
    ),
  )
  return targets
}

/** Those of this machine. */
async function filesOn(places: readonly string[]): Promise<string[]> {
  const listed = await Promise.all(places.filter(place => !isS3(place)).map(place => localFiles.list(place)))
  return listed.flat().map(({ path }) => path)
}

/** Where the savepoint is to be, if there is to be one. */
async function withPlace<T>(path: string | undefined, work: (place: BoundedOptions['thenLive']) => Promise<T>): Promise<T> {
  if (path === undefined) return work(undefined)
  const { name, open } = await savepointPlace(path)
  const { blobs, close } = await open()
  try {
    return await work({ ...blobs, name })
  } finally {
    await close()
  }
}

async function withThreads(
  graph: LogicalGraph,
  file: string,
  targets: Readonly<Record<string, string>>,
  workers: number,
  options: BoundedOptions,
): Promise<BoundedSummary> {
  const { runBounded } = await import('../../batch/run.ts')
  const { threads } = await import('./threads.ts')
  const view = backfillView(process.stderr)
  const stop = stopSignal(() => {
    view.clear()
    process.stderr.write('millrace: stopping\n')
  })
  const stateMemory = (getHeapStatistics().heap_size_limit * STATE_MEMORY_SHARE) / workers
  try {
    return await runBounded(graph, {
      ...options,
      input: anyFiles(),
      sinks: sinksOf(targets),
      signal: stop.signal,
      onProgress: view.update,
      executor: (job, directory) => threads(workers, { file: resolve(file), job, directory, targets, stateMemory }),
    })
  } finally {
    view.clear()
    stop.dispose()
  }
}
