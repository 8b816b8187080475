import { existsSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { type Duration, positiveDuration } from '../api/duration.ts'
import { fileReason } from '../connectors/error.ts'
import { makeDirectory } from '../connectors/make-directory.ts'
import type { Rescale, RunningJob, RunOptions, RunSummary, SnapshotOrigin, ThreadOptions } from '../embedded/run-options.ts'
import { MillraceError } from '../errors.ts'
import type { LogicalGraph } from '../graph/graph.ts'
import type { Upgrade } from '../graph/upgrade.ts'
import { STATE_BACKENDS, type StateBackendName } from '../state/backend.ts'
import { suggest } from '../suggest.ts'
import { type Bindings, bind } from './bindings.ts'
import type { Arguments, Command } from './command.ts'
import { type Unread, unread } from './ended.ts'
import { directoryAsUsage, UsageError } from './error.ts'
import { loadGraph } from './load.ts'
import { positiveInteger } from './parse.ts'
import { makePlan } from './plan.ts'
import { progressView } from './progress.ts'
import { isSavepoint, savepointPlace } from './savepoint/place.ts'
import { stopSignal } from './signals.ts'
import { checkStateDirectory } from './state-directory.ts'
import { summaryJson, summaryText } from './summary.ts'
import { checkDirectory } from './targets.ts'
import type { ThreadData } from './thread.ts'
import { upgradeText } from './upgrade-text.ts'

export const run: Command = {
  name: 'run',
  summary: 'Run a pipeline on this machine',
  description: `Runs the pipeline that FILE exports, in this process. Sources and sinks go by the names that the pipeline gives them; --source, --sink and --out
put NDJSON files in their place. A bounded input ends the run by itself: everything fires, a final checkpoint is taken, exit code 0.
Several files of one source are read side by side, one subtask each: how lines are dealt out to files can decide which of them come too late.
With --state, a run on the same directory goes on where it stopped, also after a crash, with the same --source paths. A file that was read to its end
has ended for that run: what is added to it later is not read, and the summary says so (with --keep-open it is read by the next run). With another --parallelism than it had, it goes on from its last complete
checkpoint, and says so: what came after that is read again, and no sink that writes exactly once had shown it.
With --from-snapshot, a new run starts from a checkpoint: its state and its place in the input, at any --parallelism. The one it comes from stays as it is, unless --state
names the same directory, which then goes back to it, each time. The same command again goes on with the run in --state that began there. A sink's file that has what the snapshot had written is cut there and written on; else a new file begins.
From stack:NAME, a stack on AWS, only the state is taken: it runs on, and the sources read the files that are given, as many as the stream has shards.
So it is from a savepoint of a stack. From one of a state directory the sources go on where they were; the sinks begin new files either way.
With --new-input as well, only the state comes from the checkpoint: yesterday's state goes on with today's files. For that, yesterday's run must not have fired everything
at its end: give it --keep-open, so that windows, timers and watermarks stay as they are, as if more were to come; the last day's run goes without, and fires what is left.
State that other code of the pipeline has written goes over to this one: operators are found by their uids, wherever they are now, and a new run starts from the newest checkpoint.
With --json, counts are of this process, and those in total since the run began; endedBefore lists the splits that had ended before it, unread those of them
that have changed since (all, if nothingToRead). The fields are those of the type RunSummary, which millrace exports.
A run over standard input can't be gone on with: that can't be read again.
Ctrl-C takes a last checkpoint and stops (exit code 0; npx, which hears it too, ends with 130); a second one stops at once (130). Progress goes to standard error, and so does
the summary where a sink prints to standard output.`,
  positionals: [{ name: 'FILE', help: 'the TypeScript file whose default export is the pipeline' }],
  flags: {
    source: {
      value: 'NAME=PATH',
      repeats: true,
      help: "Read the source NAME from an NDJSON file, plain or gzip ('-': standard input); repeat for several files",
    },
    sink: {
      value: 'NAME=PATH',
      repeats: true,
      help: "Write the sink NAME to an NDJSON file, exactly once ('-': standard output)",
    },
    out: { value: 'DIR', help: 'Write every sink without --sink to DIR/NAME.ndjson' },
    state: { value: 'DIR', help: 'Keep state, logs and checkpoints in DIR and go on from there (default: in memory)' },
    'from-snapshot': {
      value: 'DIR[@N]',
      help: 'Start a new run from checkpoint N (default: the newest) of the state directory DIR; with --state DIR itself, go back to it. stack:NAME[@N]: of a stack on AWS. A directory or s3:// path of a savepoint: from that',
    },
    'new-input': {
      help: 'With --from-snapshot: the sources read other files than those that the snapshot was made by, from their beginning',
    },
    'keep-open': {
      help: 'With --state: where the input ends, take a last checkpoint and fire nothing; a later run goes on from there, also with --new-input',
    },
    'allow-drop': {
      help: 'With --state or --from-snapshot: state of operators that the pipeline has no more may go (millrace diff says which)',
    },
    parallelism: { value: 'N', help: 'Subtasks of each stage whose operators set none' },
    threads: {
      value: 'N',
      help: 'Work in N threads, to use several cores (default: in one). Each loads FILE for itself: variables of a module are not shared between them',
    },
    checkpoint: { value: 'TIME', help: 'Between the starts of two checkpoints, like 500ms, 10s or 1m (default: 10s)' },
    'state-backend': {
      value: 'NAME',
      help: `Where keyed state lies: ${STATE_BACKENDS.join(' or ')} (default: the pipeline's own, else that of the --state directory, which keeps the one that it was made with, else table)`,
    },
    batch: { value: 'N', help: 'Source records in one batch (default: 1000)' },
    json: { help: 'Print the summary as JSON' },
  },
  examples: [
    'millrace run trending.ts --source clicks=data/clicks.ndjson.gz --out results',
    'millrace run trending.ts --source clicks=monday.ndjson --source clicks=tuesday.ndjson --sink trending=- --json',
    'millrace run trending.ts --state state --checkpoint 5s --parallelism 4 --threads 2',
    'millrace run trending.ts --from-snapshot state@12 --state fork --out fork-results',
    'millrace run trending.ts --source clicks=monday.ndjson --state monday --keep-open',
    'millrace run trending.ts --source clicks=tuesday.ndjson --from-snapshot monday --new-input --state tuesday --keep-open',
  ],
  run: runPipeline,
}

async function runPipeline(args: Arguments): Promise<number> {
  const [file] = args.positionals as [string]
  const options = await engineOptions(args)
  const graph = await loadGraph(file)
  if (!graph.nodes.some(node => node.sink !== undefined))
    throw new UsageError(
      `${file}: the pipeline has no sink, so that nothing would come of it: end a stream with .sink('name', print())`,
    )
  const given = { sources: args.texts('source'), sinks: args.texts('sink'), out: args.text('out') }
  const bindings = await bind(graph, given)
  await makePlan(graph, file, options.parallelism)
  const summary = await directoryAsUsage(() =>
    runWithProgress(graph, {
      ...options,
      sources: bindings.sources,
      sinks: bindings.sinks,
      threads: threadOptions(positiveInteger(args, 'threads'), { file, given }),
    }),
  )
  report(summary, await unread(summary, graph, bindings.sources), graph, bindings, args.has('json'))
  return 0
}

async function engineOptions(args: Arguments): Promise<RunOptions> {
  const parallelism = positiveInteger(args, 'parallelism')
  const batchSize = positiveInteger(args, 'batch')
  const state = args.text('state')
  const keepOpen = args.has('keep-open')
  if (keepOpen && state === undefined)
    throw new UsageError('--keep-open goes with --state only: without a state directory nothing could go on from there')
  if (state !== undefined) makeStateDirectory(state)
  return {
    parallelism,
    batchSize,
    state,
    keepOpen,
    allowDrop: allowDrop(args),
    from: await snapshotOrigin(args.text('from-snapshot'), args.has('new-input')),
    checkpointMs: checkpointMs(args.text('checkpoint')),
    stateBackend: stateBackend(args.text('state-backend')),
  }
}

function threadOptions(count: number | undefined, data: ThreadData): ThreadOptions | undefined {
  if (count === undefined) return undefined
  return { count, module: new URL(`./thread${extname(import.meta.url)}`, import.meta.url), data }
}

function allowDrop(args: Arguments): boolean {
  const allowed = args.has('allow-drop')
  if (allowed && args.text('state') === undefined && args.text('from-snapshot') === undefined)
    throw new UsageError('--allow-drop goes with --state or --from-snapshot only: else there is no state to drop')
  return allowed
}

function stateBackend(name: string | undefined): StateBackendName | undefined {
  const known = STATE_BACKENDS.find(backend => backend === name)
  if (name === undefined || known !== undefined) return known
  throw new UsageError(`--state-backend ${name}: there is no such one${suggest(name, STATE_BACKENDS)}`)
}

function checkpointMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  // 10 would be 10 ms, and is meant as seconds by most who type it.
  if (/^[\d.]+$/.test(text)) throw new UsageError(`--checkpoint ${text}: a unit is needed, such as ${text}s or ${text}ms`)
  try {
    return positiveDuration(text as Duration, '--checkpoint')
  } catch (error) {
    if (error instanceof MillraceError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}

/** Not the name of a directory, but of a stack. */
const STACK = 'stack:'

async function snapshotOrigin(text: string | undefined, newInput: boolean): Promise<SnapshotOrigin | undefined> {
  if (text === undefined) {
    if (newInput) throw new UsageError('--new-input goes with --from-snapshot only: without a snapshot, all input is new')
    return undefined
  }
  const [, place, checkpoint] = /^(.*?)(?:@(\d+))?$/s.exec(text)!
  const at = checkpoint === undefined ? {} : { checkpoint: Number(checkpoint) }
  if (isSavepoint(text)) return { savepoint: await savepointPlace(text), newInput }
  if (isSavepoint(place!))
    throw new UsageError(`--from-snapshot ${text}: a savepoint is of one checkpoint: leave @${checkpoint} out`)
  if (!place!.startsWith(STACK) && !existsSync(place!))
    throw new UsageError(
      `--from-snapshot ${text}: there is no ${place}: name a savepoint, a state directory, s3://BUCKET/KEY or ${STACK}NAME`,
    )
  if (!place!.startsWith(STACK)) return { directory: checkStateDirectory(place!), newInput, ...at }
  if (/^(\/|$)/.test(place!.slice(STACK.length)))
    throw new UsageError(`--from-snapshot ${text}: a stack's name is missing: ${STACK}NAME, or ${STACK}NAME@N`)
  const { stackSnapshots } = await import('./stack/snapshots.ts')
  return { store: await stackSnapshots(place!.slice(STACK.length)), ...at }
}

function makeStateDirectory(path: string): void {
  checkDirectory(path, `--state ${path}`)
  try {
    makeDirectory(resolve(path))
  } catch (error) {
    throw new UsageError(`--state ${path} can't be made a directory: ${fileReason(error)}`, { cause: error })
  }
}

async function runWithProgress(graph: LogicalGraph, options: RunOptions): Promise<RunSummary> {
  const { runEmbedded } = await import('../embedded/engine.ts')
  const { serveRequests } = await import('./rescale-requests.ts')
  let unserve = () => {}
  const onRunning = (job: RunningJob) => {
    if (options.state !== undefined) unserve = serveRequests(options.state, job)
  }
  const view = progressView(process.stderr)
  const stop = stopSignal(() => {
    view.clear()
    process.stderr.write('millrace: stopping after a last checkpoint (Ctrl-C again: at once)\n')
  })
  try {
    const onUpgrade = (upgrade: Upgrade) => {
      view.clear()
      process.stderr.write(`millrace: the state was written by other code of ${graph.name}:\n${upgradeText(upgrade)}`)
    }
    const onRescale = (rescale: Rescale) => void process.stderr.write(`millrace: ${rescaleText(rescale)}\n`)
    return await runEmbedded(graph, { ...options, signal: stop.signal, onProgress: view.update, onUpgrade, onRescale, onRunning })
  } finally {
    unserve()
    view.clear()
    stop.dispose()
  }
}

function rescaleText({ checkpoint, difference }: Rescale): string {
  return checkpoint === undefined
    ? `${difference}: no checkpoint was complete yet, so the run begins anew`
    : `${difference}: the run goes on from checkpoint ${checkpoint}, and reads again what came after it`
}

function report(
  summary: RunSummary,
  left: readonly Unread[],
  graph: LogicalGraph,
  { sinks, targets }: Bindings,
  json: boolean,
): void {
  // With a sink on standard output, only the results belong there.
  const prints = graph.nodes.some(({ sink }) => sink !== undefined && (sinks[sink.name] ?? sink.sink).kind === 'print')
  const out = prints ? process.stderr : process.stdout
  out.write(json ? summaryJson(summary, left) : summaryText(summary, targets, left))
}
