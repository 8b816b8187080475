/** The example as a command of its own: the pipeline on files, and a look at what came out. */
import { mkdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { fileSink, fileSource } from 'millrace'
import { type Duration, positiveDuration } from '../../runtime/api/duration.ts'
import { UsageError as CliUsageError, directoryAsUsage } from '../../runtime/cli/error.ts'
import { bytes, count, duration, rate } from '../../runtime/cli/format.ts'
import { progressView } from '../../runtime/cli/progress.ts'
import { stopSignal } from '../../runtime/cli/signals.ts'
import { runEmbedded } from '../../runtime/embedded/engine.ts'
import type { RunSummary } from '../../runtime/embedded/run-options.ts'
import { show } from './showcase.ts'

const SAMPLE = join(import.meta.dirname, 'sample.ndjson.gz')
const PARALLELISM_MAX = 128

const help = `The recommendation pipeline: events in, trending items and recommendations out.

  npm start                                          on the sample
  npm start -- --input FILE... --out DIR [options]   on your own events

  --input FILE...     NDJSON events, gzipped or not: {user_id, item_id, event_type, timestamp, event_id?}
  --out DIR           where trending.ndjson and recommendations.ndjson go   (out)
  --state DIR         keep state here: a run that was stopped or killed goes on where it was
  --parallelism N     subtasks of each stage                                (1)
  --checkpoint TIME   between the starts of two checkpoints: 500ms, 10s     (2s)
  --help

With REDIS_URL set and no --out, recommendations go to Redis instead, as top:USER.
`

/** A mistake in the arguments, said in one sentence. */
class UsageError extends Error {}

interface Settings {
  inputs: string[]
  out: string
  toRedis: boolean
  state: string | undefined
  parallelism: number
  checkpointMs: number
}

/** Exit code: 0 done or stopped, 1 failed, 2 a mistake in the arguments. */
export async function main(words: string[]): Promise<number> {
  try {
    const settings = parse(words)
    if (settings === undefined) {
      process.stdout.write(help)
      return 0
    }
    await directoryAsUsage(() => run(settings))
    return 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    return error instanceof UsageError || error instanceof CliUsageError ? 2 : 1
  }
}

async function run({ inputs, out, toRedis, state, parallelism, checkpointMs }: Settings): Promise<void> {
  // Imported here: whether it writes to Redis is decided when the pipeline is declared.
  const { default: app } = await import('./pipeline.ts')
  const files = { trending: join(out, 'trending.ndjson'), activity: join(out, 'activity.ndjson') }
  const recommendations = toRedis ? undefined : join(out, 'recommendations.ndjson')
  const targets = { ...files, ...(recommendations !== undefined && { recommendations }) }
  process.stderr.write(`Reading ${inputs.map(path => relative('', path)).join(', ')} …\n`)
  const view = progressView(process.stderr)
  const stop = stopSignal(() => {
    view.clear()
    process.stderr.write('Stopping after a last checkpoint (Ctrl-C again: at once) …\n')
  })
  let summary: RunSummary
  try {
    summary = await runEmbedded(app.graph(), {
      sources: { events: fileSource(inputs) },
      sinks: Object.fromEntries(Object.entries(targets).map(([name, path]) => [name, fileSink(path)])),
      parallelism,
      state,
      checkpointMs,
      signal: stop.signal,
      onProgress: view.update,
    })
  } finally {
    view.clear()
    stop.dispose()
  }
  process.stdout.write(`${await show({ ...files, recommendations })}\n${report(summary, targets, state)}`)
}

function report(summary: RunSummary, targets: Record<string, string>, state: string | undefined): string {
  const { events, elapsedMs, checkpoints, deadLetters, sinks } = summary
  const each = (n: number): string => `${rate((n * 1000) / Math.max(1, elapsedMs))}/s`
  const made = sinks.recommendations ?? 0
  const lines = [
    summary.outcome === 'finished' ? `Finished in ${duration(elapsedMs)}.` : `Stopped after ${duration(elapsedMs)}.`,
    `  throughput    ${count(events)} events (${each(events)}), ${count(made)} recommendations (${each(made)})`,
    `  checkpoints   ${checkpoints.completed} completed${checkpoints.failed > 0 ? `, ${checkpoints.failed} failed` : ''}`,
    ...(deadLetters > 0 ? [`  refused       ${count(deadLetters)} lines that are no event`] : []),
    ...Object.values(targets).map(
      (path, i) => `  ${i === 0 ? 'results' : '       '}       ${relative('', path)} (${bytes(sizeOf(path))})`,
    ),
    ...(targets.recommendations === undefined ? ['                Redis, top:USER'] : []),
  ]
  if (summary.outcome === 'stopped') {
    lines.push(state === undefined ? 'Without --state, the next run starts anew.' : 'The same command goes on from here.')
  }
  return `${lines.join('\n')}\n`
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function parse(words: string[]): Settings | undefined {
  const text = { type: 'string' } as const
  const options = {
    input: { type: 'string', multiple: true },
    out: text,
    state: text,
    parallelism: text,
    checkpoint: text,
    help: { type: 'boolean', short: 'h' },
  } as const
  const { values, positionals } = usage(() => parseArgs({ args: words, options, allowPositionals: true }))
  if (values.help) return undefined
  // `--input a b c`: the shell's *.ndjson comes as words of their own.
  if (positionals.length > 0 && values.input === undefined)
    throw new UsageError(`what is '${positionals[0]}'? Files to read come behind --input`)
  const inputs = [...(values.input ?? [SAMPLE]), ...positionals]
  for (const path of inputs) checkFile(path)
  const out = values.out ?? 'out'
  for (const [flag, path] of [
    ['--out', out],
    ['--state', values.state],
  ] as const)
    if (path !== undefined) makeDirectory(flag, path)
  return {
    inputs,
    out,
    toRedis: values.out === undefined && Boolean(process.env.REDIS_URL),
    state: values.state,
    parallelism: parallelism(values.parallelism ?? '1'),
    checkpointMs: usage(() => positiveDuration((values.checkpoint ?? '2s') as Duration, '--checkpoint')),
  }
}

function parallelism(text: string): number {
  const n = Number(text)
  if (!/^\d+$/.test(text) || n < 1 || n > PARALLELISM_MAX) {
    throw new UsageError(`--parallelism is '${text}': a whole number from 1 to ${PARALLELISM_MAX} is needed`)
  }
  return n
}

function checkFile(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) throw new UsageError(`--input ${path}: there is no such file`)
  if (stats.isDirectory()) throw new UsageError(`--input ${path} is a directory: name the files in it`)
}

function makeDirectory(flag: string, path: string): void {
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    throw new UsageError(`${flag} ${path} cannot be made a directory: ${(error as Error).message}`)
  }
}

/** What a check refuses was typed by the user. */
function usage<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0]!)
  }
}
