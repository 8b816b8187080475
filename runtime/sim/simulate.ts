import { faultLine } from './excerpt.ts'
import { isExpected } from './expected-errors.ts'
import { type Faults, type Injected, type Leaves, NO_FAULTS, openFaults } from './faults.ts'
import { feed } from './feed.ts'
import { loadAll } from './loaded.ts'
import { watchLogs } from './monitor.ts'
import { copyServices, type Services } from './ports.ts'
import { type Dice, dice } from './random.ts'
import { NO_RESTART, type Restart, restartIn } from './restart.ts'
import { canRescale, checkpointOf, goBack } from './restored.ts'
import { lettersDifference, lettersOf, rowsDifference, rowsOf } from './rows.ts'
import { takeSavepoints } from './savepoints.ts'
import type { Input, Rows, Scenario } from './scenario.ts'
import { openScheduler } from './scheduler.ts'
import { openShadow } from './shadow.ts'
import { Difference, type Simulation, Violation } from './simulation.ts'
import { openUserCode } from './user-code.ts'
import { type Deployment, openWorld, type World } from './world.ts'

export interface Run {
  readonly seed: number
  readonly error: Error | undefined
  readonly virtualMs: number
  readonly steps: number
  readonly injected: readonly Injected[]
  /** Of checkpoints. */
  readonly outcomes: ReadonlyMap<string, number>
  /** The checkpoint that the second run began with. Undefined: it ended before that. */
  readonly checkpoint: number | undefined
}

export interface RunOptions {
  readonly trace?: (line: string) => void
  readonly leavesOut?: Leaves
}

/** A scenario as one seed has it. */
interface Stage {
  readonly scenario: Scenario
  readonly variant: number
  readonly input: Input
  readonly deployment: Deployment
}

const START = 1_800_000_000_000
/** From when nothing goes wrong any more until all is through. */
const PROGRESS_MS_MAX = 2 * 3_600_000
/** Of one run; most have some thousands. Whoever goes on and on without getting anywhere is not through either. */
const STEPS_MAX = 400_000
/** Faults go on for a part of the time that the input takes, when all of it is there. */
const AFTERMATH = 0.5
const AFTERMATH_MS_MAX = 5 * 60_000
/** That checkpoints are dense: who was behind for some seconds finds that the base has gone on, or that what it knew of the log has expired. */
const DENSE_CHANCE = 0.35
const LAGS = ['copy of a batch lags'] as const
/** That somebody starts the stack anew from one of its checkpoints, while it is busy. */
const RESTART_CHANCE = 0.2
/** Of the time that the input takes. */
const RESTART_AT = [0.2, 1] as const
/** Of a run that goes back to a checkpoint. */
const AGAIN_MS = 30_000

/**
 * One seed of one scenario: a run with faults, and a second one that goes back to one of its checkpoints, at another parallelism by lot. Both have to come to what a run without
 * faults comes to.
 */
export async function simulate(scenario: Scenario, seed: number, { trace, leavesOut }: RunOptions = {}): Promise<Run> {
  await loadAll()
  const variant = scenario.variants === Number.POSITIVE_INFINITY ? seed : seed % scenario.variants
  const random = dice(seed)
  const stage = { scenario, variant, input: scenario.input(dice(variant)), deployment: deploymentOf(scenario, random) }
  const injected: Injected[] = []
  const outcomes = new Map<string, number>()
  const begun: Simulation[] = []
  const simulation = (name: string, start: number) => {
    const faults = openFaults(
      random.fork(`${name} faults`),
      leavesOut,
      begun.at(-1)?.faults.number,
      stage.deployment.dense ? LAGS : [],
      (fault, where) => opened.trace?.(faultLine(fault, where)),
    )
    const opened: Simulation = open(random.fork(name), start, faults, trace)
    begun.push(opened)
    return opened
  }
  let error: Error | undefined
  let checkpoint: number | undefined
  try {
    const expected = await expectedOf(scenario, variant)
    const first = simulation('first', START)
    const restarts = random.fork('restart')
    const hasRestart = restarts.chance(RESTART_CHANCE)
    const restart = (w: World, busyMs: number) => restartIn(busyMs * restarts.spread(...RESTART_AT), first, restarts, w)
    const world = await play(stage, first, async w => feed(w, first, stage), hasRestart ? { restart } : {})
    for (const [outcome, n] of world.controller.outcomes) outcomes.set(outcome, n)
    checkWorld(stage, world, expected, { restored: hasRestart })
    const from = await through(first, checkpointOf(world, random.fork('back')))
    checkpoint = from
    const second = simulation('second', first.scheduler.now)
    second.trace?.(`back to checkpoint ${from}`)
    const parallelism = random.fork('rescale').pick([1, 2, 3, 5])
    const deployment = canRescale(world, parallelism) ? { ...stage.deployment, parallelism } : stage.deployment
    const back = await play({ ...stage, deployment }, second, w => goBack(w, from).then(() => AGAIN_MS), {
      services: copyServices(world.services),
    })
    checkWorld(stage, back, expected, { restored: true })
  } catch (caught) {
    error = caught as Error
  }
  // A frame that the stream has lost is the one thing that ends a run, by name.
  if (error?.message.includes('GapError') && begun.some(s => s.faults.injected.some(i => i.fault.includes(' loses '))))
    error = undefined
  for (const { faults } of begun) injected.push(...faults.injected)
  return {
    seed,
    error,
    virtualMs: (begun.at(-1)?.scheduler.now ?? START) - START,
    steps: begun.reduce((sum, { scheduler }) => sum + scheduler.steps, 0),
    injected,
    outcomes,
    checkpoint,
  }
}

function open(random: Dice, start: number, faults: Faults, trace?: (line: string) => void): Simulation {
  const scheduler = openScheduler(start, random.fork('tie').fraction)
  const stamped = trace && ((line: string) => trace(`${((scheduler.now - START) / 1000).toFixed(3).padStart(10)} ${line}`))
  return { scheduler, dice: random, faults, trace: stamped }
}

function deploymentOf({ shards, parallelism }: Scenario, seed: Dice): Deployment {
  const random = seed.fork('deployment')
  return {
    shards,
    parallelism,
    batchMax: random.pick([3, 10, 100]),
    stateBackend: random.pick(['table', 'segments'] as const),
    ...(random.chance(DENSE_CHANCE)
      ? {
          dense: true,
          timeoutMs: random.pick([20_000, 60_000]),
          checkpointTimeoutMs: random.pick([15_000, 60_000]),
          checkpointEveryMs: random.pick([2_000, 4_000]),
        }
      : {
          dense: false,
          timeoutMs: random.pick([10_000, 20_000, 60_000]),
          checkpointTimeoutMs: random.pick([60_000, 300_000]),
          checkpointEveryMs: random.pick([15_000, 30_000, 60_000]),
        }),
  }
}

interface PlayOptions {
  readonly services?: Services
  /** Told for how long the world is busy, ms. */
  readonly restart?: (world: World, busyMs: number) => Restart
}

/** Runs a world until everything is through. `prepare` gives for how long it is busy, ms. */
async function play(
  { scenario, variant, deployment }: Stage,
  simulation: Simulation,
  prepare: (world: World) => Promise<number>,
  { services, restart: begin = () => NO_RESTART }: PlayOptions = {},
): Promise<World> {
  const { scheduler, faults, dice } = simulation
  let violation: Error | undefined
  const report = (error: Error) => {
    violation ??= error
  }
  let hasRestart = false
  const app = scenario.app(openUserCode(simulation, dice.fork('code'), report), variant)
  const onError = (error: unknown, name: string) => {
    if (!isExpected(error, name, hasRestart)) report(new Violation(`${name} threw ${(error as Error).stack}`))
  }
  const onStuck = (what: string) => report(new Violation(what))
  const world = openWorld(simulation, { app, deployment, onError, onStuck, ...(services && { services }) })
  const shadow = openShadow(world)
  watchLogs(world, shadow, deployment.timeoutMs, report)
  const busy = scheduler.now + (await through(simulation, prepare(world)))
  const calm = busy + Math.min(AFTERMATH_MS_MAX, (busy - scheduler.now) * AFTERMATH)
  scheduler.after(busy - scheduler.now, () => world.controller.relax())
  scheduler.after(calm - scheduler.now, () => faults.stop())
  world.start()
  const restart = begin(world, busy - scheduler.now)
  hasRestart = !restart.isOver
  const savepoints = takeSavepoints(simulation, dice.fork('savepoints'), world)
  const late = calm + PROGRESS_MS_MAX
  const isOver = () =>
    scheduler.now > late || scheduler.steps > STEPS_MAX || (scheduler.now > busy && restart.isOver && world.isQuiet())
  await scheduler.run(() => violation !== undefined || isOver())
  if (violation !== undefined) throw violation
  if (!world.isQuiet())
    throw new Violation(
      `${Math.round((scheduler.now - calm) / 60_000)} minutes after the last fault, and ${scheduler.steps} steps, not all is through: ${progress(world)}`,
    )
  const fault = (await through(simulation, savepoints.check())) ?? (await shadow.ofBase())
  if (fault !== undefined) throw new Violation(fault)
  return world
}

/** Lets time pass until `work` is done. */
async function through<T>({ scheduler }: Simulation, work: Promise<T>): Promise<T> {
  let isDone = false
  const done = () => {
    isDone = true
  }
  work.then(done, done)
  await scheduler.run(() => isDone)
  return work
}

function progress({ mappings, lambdas, controller }: World): string {
  const running = lambdas.filter(l => l.running > 0).map(l => l.name)
  return `${mappings.filter(m => !m.isThrough).length} of ${mappings.length} shards are not, ${running.join(', ') || 'nothing'} runs, the last checkpoint was ${controller.last?.outcome}`
}

/** What a run without faults comes to. */
interface Expected {
  readonly rows: Rows
  readonly letters: readonly any[]
}

const known = new WeakMap<Scenario, Map<number, Promise<Expected>>>()

/** Each is run once for all seeds that have the same input. */
export function expectedOf(scenario: Scenario, variant = 0): Promise<Expected> {
  const variants = known.get(scenario) ?? new Map<number, Promise<Expected>>()
  known.set(scenario, variants)
  const expected = variants.get(variant) ?? calm(scenario, variant)
  variants.set(variant, expected)
  return expected
}

async function calm(scenario: Scenario, variant: number): Promise<Expected> {
  const { shards, parallelism } = scenario
  const deployment = {
    shards,
    parallelism,
    batchMax: 1000,
    timeoutMs: 60_000,
    checkpointTimeoutMs: 300_000,
    checkpointEveryMs: 60_000,
  }
  const input = scenario.input(dice(variant))
  const stage = { scenario, variant, input, deployment }
  const simulation = open(dice(variant), START, NO_FAULTS)
  const world = await play(stage, simulation, async w => feed(w, simulation, stage))
  const expected = { rows: rowsOf(world), letters: lettersOf(world) }
  checkWorld(stage, world, expected)
  return expected
}

function checkWorld({ scenario, input }: Stage, world: World, expected: Expected, { restored = false } = {}): void {
  const { same = (all: Rows) => all, check } = scenario
  const rows = rowsOf(world)
  const letters = lettersOf(world)
  const difference = rowsDifference(same(expected.rows), same(rows)) ?? lettersDifference(expected.letters, letters, restored)
  if (difference !== undefined) throw new Difference(difference)
  check?.(rows, input, letters)
}
