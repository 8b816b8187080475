import type { Pipeline } from '../api/pipeline.ts'
import type { Leaves } from '../sim/faults.ts'
import { withKeyGroups } from '../sim/key-groups.ts'
import type { Scenario, UserCode } from '../sim/scenario.ts'
import { shrink } from '../sim/shrink.ts'
import { expectedOf, type Run, simulate } from '../sim/simulate.ts'
import { Difference } from '../sim/simulation.ts'
import { graphOf, kindOf, onlyOptions, wholeNumber } from './check.ts'
import { TestKitError } from './error.ts'
import { ExactlyOnceError } from './exactly-once-error.ts'
import { type ExactlyOnceReport, openReport } from './exactly-once-report.ts'
import { linesOf } from './lines.ts'
import { type Names, namesOf, sinkName, sourceName } from './names.ts'
import { CALM, refusedOf, whyNothing } from './nothing.ts'

/** What functions of a simulated pipeline may ask for: time and chance that are the seed's own. */
export interface SimulatedCode {
  /** Waits in simulated time, ms: for functions of mapAsync. */
  sleep(ms: number): Promise<void>
  /** In [0, 1), another one each time: for functions that are random on purpose. */
  random(): number
  /** Throws in some seeds, now and then, but not so often for one `id` that its record would be given up. */
  mayThrow(id: string | number): void
}

/** What comes out, by sink: a list of rows for each. */
export type SinkRows = Readonly<Record<string, any>>

/** How `expectExactlyOnce` runs a pipeline, and what it compares. */
export interface ExactlyOnceOptions {
  /** How many seeds, from 0 on. Default 20. */
  readonly seeds?: number
  /** This one only. */
  readonly seed?: number
  /** Subtasks of each stage that does not say its own. Default 2. */
  readonly parallelism?: number
  /** Shards of each source's stream. Default 1: more of them interleave in another way in each run. */
  readonly shards?: number
  /** Which records have to stay in their order: those of one string or number are in one shard. Needed with several shards. */
  readonly shardBy?: (record: any, source: string) => string | number
  /** What of the rows has to be the same in all runs. Default: all. */
  readonly same?: (rows: SinkRows) => SinkRows
  /** What the rows have to be like by themselves: throws if they are not. */
  readonly check?: (rows: SinkRows) => void
  /** Called for each line of what happens, in all runs. */
  readonly trace?: (line: string) => void
}

/** Few are enough for a cold start to find all that there is to find. */
const KEY_GROUPS = 8
const SEEDS = 20
const PARALLELISM = 2
const SHRINK_TRIES = 60
const OPTIONS: Readonly<Record<keyof ExactlyOnceOptions, true>> = {
  seeds: true,
  seed: true,
  parallelism: true,
  shards: true,
  shardBy: true,
  same: true,
  check: true,
  trace: true,
}

/**
 * Runs a pipeline under the simulator (docs/simulator.md): as the functions that run on AWS, on simulated services, with faults of every kind, checkpoints, and a second run from one of them. Whatever goes
 * wrong, its sinks have to come to the rows that they have without faults, each once, and the dead letters to the same records.
 *
 * `input` has the records of each source, in order. What comes out must depend on nothing else: neither on the clock nor on the order between sources. Functions of yours must not wait for anything
 * outside; `app` may be a function that makes the pipeline and is given what simulates waiting, chance and errors.
 *
 * @throws ExactlyOnceError at the first seed that comes to something else, with the fewest faults that it takes and a trace
 * @throws TestKitError when nothing comes out even without faults: then nothing would be shown
 *
 * @example
 * const report = await expectExactlyOnce(app, { events: [{ user_id: 'u1', timestamp: 1_000 }] }, { seeds: 50 })
 * console.log(report.text)
 */
export async function expectExactlyOnce(
  app: Pipeline | ((code: SimulatedCode) => Pipeline),
  input: Readonly<Record<string, readonly unknown[]>>,
  options: ExactlyOnceOptions = {},
): Promise<ExactlyOnceReport> {
  const { seed, trace, seeds = SEEDS, parallelism = PARALLELISM } = options
  onlyOptions('expectExactlyOnce', options, OPTIONS)
  wholeNumber('seeds', seeds, 1)
  wholeNumber('seed', seed ?? 0, 0)
  wholeNumber('parallelism', parallelism, 1)
  const scenario = scenarioOf(app, input, options)
  const report = openReport(await withoutFaults(scenario))
  for (let s = seed ?? 0; s < (seed === undefined ? seeds : seed + 1); s++) {
    const run = await simulate(scenario, s, { trace })
    if (run.error !== undefined) throw await explain(scenario, run)
    report.add(run)
  }
  return report.value()
}

/** How much comes out. */
async function withoutFaults(scenario: Scenario): Promise<{ rows: number; deadLetters: number }> {
  const { rows, letters } = await expectedOf(scenario).catch(error => {
    const { message } = error as Error
    const hint = /not all is through/.test(message)
      ? '. Do functions of mapAsync wait for something outside? Nothing outside is waited for here: give the pipeline functions that answer at once, or that sleep in simulated time'
      : ''
    throw new TestKitError(`even without faults, ${message}${hint}`, { cause: error })
  })
  const count = Object.values(rows).reduce((sum, all) => sum + all.length, 0)
  const refused = refusedOf(scenario)
  if (count > 0) return { rows: count, deadLetters: letters.length + refused.length }
  throw new TestKitError(
    `no row comes out of '${scenario.name}' without faults, so that none can be missing. ${whyNothing(scenario, refused, letters)}`,
  )
}

/** The failure, with the fewest faults that it takes. */
async function explain(scenario: Scenario, failed: Run): Promise<ExactlyOnceError> {
  const again = async (only: readonly number[], trace?: (line: string) => void) => {
    const kept = new Set(only)
    const leavesOut: Leaves = ({ number }) => !kept.has(number)
    const run = await simulate(scenario, failed.seed, { leavesOut, ...(trace && { trace }) })
    return run.error === undefined ? undefined : run
  }
  const least = await shrink(failed, again, SHRINK_TRIES)
  const trace: string[] = []
  const traced = await again(
    least.injected.map(({ number }) => number),
    line => trace.push(line),
  )
  const { error, injected, checkpoint } = traced ?? least
  const failure = {
    seed: failed.seed,
    problem: error!.message,
    faults: injected.map(({ fault }) => fault),
    faultsBefore: failed.injected.length,
    checkpoint,
    isDifference: error instanceof Difference,
    trace,
  }
  return new ExactlyOnceError(failure, { cause: error })
}

function scenarioOf(
  app: Pipeline | ((code: SimulatedCode) => Pipeline),
  input: Readonly<Record<string, readonly unknown[]>>,
  { parallelism = PARALLELISM, shards = 1, shardBy, same, check }: ExactlyOnceOptions,
): Scenario {
  const make = (user: UserCode) => {
    const { sleep, random, maySurprise } = user
    const made = typeof app === 'function' ? app({ sleep, random, mayThrow: maySurprise }) : app
    const widest = Math.max(parallelism, ...graphOf(made).nodes.map(n => n.parallelism ?? 1))
    return withKeyGroups(made, Math.max(KEY_GROUPS, widest))
  }
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw new TestKitError(`the input is the records of each source, such as { events: [...] }, not ${kindOf(input)}`)
  const graph = make(CALM).graph()
  const names = namesOf(graph)
  for (const name of Object.keys(input)) sourceName(names, name)
  const lines = linesOf(names.sources, input, shards, shardBy)
  return {
    name: graph.name,
    shards,
    parallelism,
    variants: 1,
    app: make,
    input: () => lines,
    ...(same && { same: rows => compared(same(bySink(names, rows))) }),
    ...(check && { check: rows => synchronous('check', check(bySink(names, rows))) }),
  }
}

/** A sink that the pipeline does not have would be one without rows. */
function bySink(names: Names, rows: SinkRows): SinkRows {
  return new Proxy(rows, {
    get: (all, name) => (typeof name === 'symbol' || name in all ? Reflect.get(all, name) : all[sinkName(names, name)]),
  })
}

/** What `same` gives. @throws TestKitError when that is nothing: then all runs are alike */
function compared(rows: SinkRows): SinkRows {
  synchronous('same', rows)
  if (typeof rows === 'object' && rows !== null && Object.values(rows).some(of => of !== undefined)) return rows
  throw new TestKitError('same gave nothing that could be compared: it gives rows by sink, such as ({ totals }) => ({ totals })')
}

function synchronous(name: string, result: unknown): void {
  if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') return
  ;(result as Promise<unknown>).then(undefined, () => {}) // what it says comes too late
  throw new TestKitError(`${name} gave a promise: it is called for each run, and answers at once`)
}
