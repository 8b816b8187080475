import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline/promises'
import type { BackfillPlan } from '../../../aws/functions/backfill.ts'
import { inputOf } from '../../../batch/input.ts'
import { isS3 } from '../../../batch/input-files.ts'
import type { Job } from '../../../batch/job.ts'
import type { BoundedSummary } from '../../../batch/options.ts'
import { jsonBytes, readJsonBlob } from '../../../batch/stored/json-blob.ts'
import { jobOf, waveOf } from '../../../batch/stored/names.ts'
import { atOnce } from '../../../connectors/at-once.ts'
import { systemClock } from '../../../embedded/clock.ts'
import type { Blobs } from '../../../ports.ts'
import { anyFiles } from '../../backfill/input.ts'
import { placesOf } from '../../backfill/places.ts'
import { rangeOf, slackOf } from '../../backfill/time-range.ts'
import { backfillText, backfillView } from '../../backfill/view.ts'
import type { Arguments } from '../../command.ts'
import { UsageError } from '../../error.ts'
import { duration } from '../../format.ts'
import { positiveInteger } from '../../parse.ts'
import { stopSignal } from '../../signals.ts'
import type { BackfillControl, Control } from '../control.ts'
import { openBuckets } from '../s3.ts'
import { openStack, type Stack } from '../stack.ts'
import { estimate, estimateText } from './estimate.ts'
import { follow } from './followed.ts'
import { wavesOf } from './waves.ts'

const CONCURRENCY = 100
/** Of the input, for one subtask of a stage behind a shuffle, where nobody says how many there are to be. */
const PARTITION_BYTES = 256 << 20
const POLL_MS = 3_000
const WRITTEN_AT_ONCE = 8
const NAME = /^[A-Za-z0-9_-]{1,60}$/
/** Of another name there can be no execution for 90 days. */
const EXECUTIONS_MAX = 1_000

type Backfills = NonNullable<Stack['backfill']>
type Calls = Control & BackfillControl

/** `millrace backfill --stack`: resolves with the exit code. */
export async function backfillOnStack(args: Arguments): Promise<number> {
  for (const flag of ['sink', 'out', 'state', 'workers'])
    if (args.text(flag) !== undefined || args.texts(flag).length > 0)
      throw new UsageError(`--${flag} is of a backfill in this process: on a stack, its own sinks get the results`)
  const { control, stack } = await openStack(args)
  const { backfill } = stack
  if (backfill === undefined)
    throw new UsageError(
      'this stack can run no backfills: give the construct `backfill: { archives: [{ bucket, prefix }] }`, and deploy it again',
    )
  if (args.has('cancel')) return cancel(control, backfill)
  const { client, call, random } = await openBuckets()
  const { s3Blobs } = await import('../../../aws/blobs.ts')
  try {
    return await begin(args, control, backfill, s3Blobs(client, stack.bucket, '', call, random))
  } finally {
    client.destroy()
  }
}

async function cancel(control: Calls, { machine }: Backfills): Promise<number> {
  const running = await control.runningExecutions(machine)
  // Those that a Distributed Map has started end with the one that started it.
  const own = running.filter(arn => arn.includes(':execution:') && !arn.includes('/'))
  for (const arn of own) await control.stopExecution(arn, 'the backfill was cancelled')
  process.stdout.write(own.length === 0 ? 'no backfill runs\n' : `cancelled ${own.map(nameOf).join(', ')}\n`)
  return 0
}

const nameOf = (arn: string) => arn.slice(arn.lastIndexOf(':') + 1)

async function begin(args: Arguments, control: Calls, backfill: Backfills, blobs: Blobs): Promise<number> {
  const concurrency = positiveInteger(args, 'concurrency') ?? CONCURRENCY
  const { plan, job, memoryMb } = await planJob(args, control, backfill, concurrency)
  const found = await readJsonBlob<Job>(blobs, jobOf(job.run))
  const savepoint = args.text('then-live')
  if (found === undefined) {
    const costs = estimate(plan, job, memoryMb, concurrency)
    process.stderr.write(`${plan.pipeline}: backfill ${job.run}\n${estimateText(costs, concurrency)}\n`)
    process.stderr.write(`takes about ${duration(costs.seconds * 1000)}, if Lambda has as many\n`)
    if (!args.has('yes') && !(await agreed())) return 1
  } else if (JSON.stringify(found) !== JSON.stringify(job))
    throw new UsageError(
      `the backfill ${job.run} was begun with other input, another range or parallelism: give it another --name`,
    )
  const pieces = Object.fromEntries(Object.entries(job.pieces).map(([name, list]) => [name, list.length]))
  const waves = wavesOf(plan, job.run, pieces, savepoint === undefined ? undefined : `savepoints/${savepoint}`)
  await atOnce(WRITTEN_AT_ONCE, [...waves.entries()], ([i, tasks]) => blobs.put(waveOf(job.run, i), jsonBytes(tasks)))
  if (found === undefined) await blobs.put(jobOf(job.run), jsonBytes(job))
  const name = await execute(control, backfill, job.run, { run: job.run, waves: waves.length, concurrency })
  return watch(args, control, backfill, name, { plan, job, blobs, resumed: found !== undefined })
}

/** What there is to do, and the name by which it is known again: the same input, range, parallelism and code are the same backfill. */
async function planJob(args: Arguments, control: Calls, { functions }: Backfills, concurrency: number) {
  const range = rangeOf(args.text('since'), args.text('until'))
  const savepoint = args.text('then-live')
  if (savepoint !== undefined && range.until === undefined)
    throw new UsageError('--then-live needs --until: the event time from which on the stream is read')
  if (savepoint !== undefined && !NAME.test(savepoint))
    throw new UsageError(
      `--then-live ${savepoint}: with --stack this is the name of a savepoint in the stack's bucket, of letters, digits, - and _`,
    )
  const named = args.text('name')
  if (named !== undefined && !NAME.test(named))
    throw new UsageError(`--name ${named}: at most 60 letters, digits, - and _ are needed`)
  const [first] = Object.values(functions)
  const planWith = async (parallelism: number | undefined) =>
    (await control.invoke(first!, { step: 'plan', parallelism })) as BackfillPlan
  const wanted = positiveInteger(args, 'parallelism')
  let plan = await planWith(wanted)
  const names = plan.stages.flatMap(({ source }) => source ?? [])
  const sources = placesOf(names, args.texts('from'))
  const local = Object.values(sources)
    .flat()
    .find(place => !isS3(place))
  if (local !== undefined) throw new UsageError(`--from ${local}: functions on AWS read s3:// places only`)
  const input = await inputOf(names, { sources, input: anyFiles(), ...range, ...slackOf(args.text('slack')) })
  const bytes = Object.values(input.pieces)
    .flat()
    .reduce((n, piece) => n + piece.bytes, 0)
  const enough = Math.min(Math.ceil(bytes / PARTITION_BYTES), concurrency, plan.keyGroups)
  // A stream that is to go on has the stack's own.
  if (wanted === undefined && savepoint === undefined && enough > plan.parallelism) plan = await planWith(enough)
  const known = await Promise.all(
    Object.entries(functions).map(async ([stage, fn]) => [stage, await control.functionOf(fn)] as const),
  )
  const { parallelism, parallelismOf } = plan
  const { since, until } = range
  const rest = { parallelism, parallelismOf, ...input, since, until, thenLive: savepoint !== undefined }
  const { code } = known[0]![1]
  const run = named ?? hash([plan.pipeline, plan.shape, code, savepoint, rest])
  const job = JSON.parse(JSON.stringify({ run, ...rest })) as Job
  return { plan, job, memoryMb: Object.fromEntries(known.map(([stage, { memoryMb }]) => [stage, memoryMb])) }
}

const hash = (what: unknown) => createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 20)

async function agreed(): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError('nobody is there to say yes: give --yes, and it starts')
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await asking.question('start it? [y/N] ')).trim())
  } finally {
    asking.close()
  }
}

/** The execution of a backfill: the one that runs, the one that is through, or another one, which goes on with what those that failed have not done. */
async function execute(control: Calls, { machine }: Backfills, run: string, input: object): Promise<string> {
  for (let n = 1; n <= EXECUTIONS_MAX; n++) {
    const name = `${run}-${n}`
    const status = (await control.executionOf(machine, name))?.status
    if (status === 'RUNNING' || status === 'SUCCEEDED') return name
    if (status === undefined && (await control.startNamed(machine, name, input))) return name
  }
  throw new UsageError(`the backfill ${run} has failed ${EXECUTIONS_MAX} times: give it another --name`)
}

interface Watched {
  readonly plan: BackfillPlan
  readonly job: Job
  readonly blobs: Blobs
  readonly resumed: boolean
}

async function watch(
  args: Arguments,
  control: Calls,
  { machine }: Backfills,
  name: string,
  { plan, job, blobs, resumed }: Watched,
): Promise<number> {
  const startedAt = systemClock.now()
  const elapsed = () => systemClock.now() - startedAt
  const view = backfillView(process.stderr)
  const followed = follow(blobs, plan, job)
  const stop = stopSignal(() => view.clear())
  try {
    for (;;) {
      const execution = await control.executionOf(machine, name)
      await followed.look()
      view.update({ stages: followed.progress(systemClock.now()), elapsedMs: elapsed() })
      if (execution?.status === 'SUCCEEDED') break
      if (execution?.status !== 'RUNNING') {
        view.clear()
        const why = (await followed.failure()) ?? execution?.cause ?? 'it is gone'
        process.stderr.write(
          `millrace: the backfill ${job.run} ended as ${execution?.status}: ${why}\nThe same command goes on from what is finished.\n`,
        )
        return 1
      }
      await systemClock.sleep(POLL_MS, stop.signal)
      if (!stop.signal.aborted) continue
      view.clear()
      process.stderr.write(
        `the backfill ${job.run} goes on; the same command shows it again, and with --cancel instead of --from it is stopped\n`,
      )
      return 1
    }
  } finally {
    view.clear()
    stop.dispose()
  }
  const summary: BoundedSummary = followed.summary('finished', resumed, elapsed())
  process.stdout.write(args.has('json') ? `${JSON.stringify(summary, undefined, 2)}\n` : backfillText(summary, {}))
  return 0
}
