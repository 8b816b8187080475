import type { StartedCheckpoint } from '../aws/functions/checkpoint.ts'
import type { PartRef } from '../aws/functions/materialise.ts'
import type { MaterialisedRef } from '../aws/functions/materialised.ts'
import { RETRYABLE } from '../aws/retryable.ts'
import type { Lambda, Outcome } from './lambda.ts'
import type { Simulation } from './simulation.ts'

/** What a state machine calls. */
export interface Controlled {
  readonly checkpoint: Lambda
  readonly materialise: Lambda
  /** By source stage. */
  readonly cuts: ReadonlyMap<string, Lambda>
  readonly timeoutMs: number
  readonly everyMs: number
  /** Whether a stage has done anything since a moment of virtual time. */
  readonly hasMoved: (since: number) => boolean
}

export interface Controller {
  /** The last execution that has ended: `nothing` when there was nothing to do. */
  readonly last: { readonly outcome: string; readonly begunAt: number } | undefined
  /** How many there were of each outcome. */
  readonly outcomes: ReadonlyMap<string, number>
  readonly running: number
  start(): void
  /** All input is there: checkpoints are as far apart as they mostly are. */
  relax(): void
  /** No execution begins; of those that run, by `all`, none goes on. */
  stop(all: boolean): void
  goOn(): void
}

/** The execution is over: its reason. */
class Failed extends Error {}
class Stopped extends Error {}

/** On AWS each second. Looking so often for what does not come would cost a simulation most of its time: each look waits longer. */
const POLL_MS = [3_000, 30_000] as const
const POLL_GROWTH = 1.5
/** So often the schedule looks in vain when nothing moves, then only each eighth time: most of the time of a simulation went into looks that find what the one before found. */
const IDLE_LOOKS = 3
const IDLE_EVERY = 8
const RELAXED_MS = 15_000
const RETRY_MS = 1_000
const TRIES = 6
const LATE_MS = [1_000, 10 * 60_000] as const
/** Until nobody waits for a completion any more: mostly it stands in front of its decision by then, or comes to it later. */
const GIVEN_UP_MS = [100, 5_000] as const

/**
 * Executions of the state machine (infra/checkpoint-definition.ts), in its order and with its retries: one after the other, but now and then two at once, as if the lock were not there. Steps are called twice,
 * late, or, when an execution is stopped, not at all.
 */
export function openController(simulation: Simulation, controlled: Controlled): Controller {
  const { scheduler, dice, faults, trace } = simulation
  const outcomes = new Map<string, number>()
  let last: Controller['last']
  let running = 0
  let { everyMs } = controlled
  let isOff = false
  /** Executions that began before are over. */
  let stoppedAt = Number.NEGATIVE_INFINITY

  async function invoke(lambda: Lambda, event: object, begun: number): Promise<any> {
    if (begun <= stoppedAt || faults.happens('controller stops', lambda.name)) throw new Stopped()
    for (let tries = 1; ; tries++) {
      const outcome = await invokeOnce(lambda, event)
      if ('answer' in outcome) return outcome.answer
      // Nobody makes up for what the step has begun.
      if (faults.happens('controller stops with its step')) throw new Stopped()
      if (!RETRYABLE.includes(outcome.error) || tries === TRIES) throw new Failed(`${outcome.error}: ${outcome.message}`)
      await scheduler.sleep(dice.fraction() * RETRY_MS * 2 ** tries)
    }
  }

  function invokeOnce(lambda: Lambda, event: object): Promise<Outcome> {
    const again = (ms: number) => void scheduler.sleep(ms).then(() => lambda.invoke(event))
    if (faults.happens('step is called twice', lambda.name)) again(dice.fraction() * 1_000)
    if (faults.happens('step is called again late', lambda.name)) again(dice.spread(...LATE_MS))
    return lambda.invoke(event)
  }

  async function collect(start: StartedCheckpoint, begun: number): Promise<readonly PartRef[]> {
    const [least, most] = POLL_MS
    for (let pause = Math.min(least, everyMs / 4); ; pause = Math.min(most, pause * POLL_GROWTH)) {
      const { parts, missing } = await invoke(controlled.checkpoint, { step: 'collect', start }, begun)
      if (missing.length === 0) return parts
      if (scheduler.now > begun + controlled.timeoutMs) throw new Failed(`no ack in time from ${missing.join(', ')}`)
      await scheduler.sleep(pause)
    }
  }

  async function take(start: StartedCheckpoint, begun: number): Promise<string> {
    await all(
      start.sources.map(({ stage, shards }) =>
        invoke(controlled.cuts.get(stage)!, { shards, checkpoint: start.checkpoint }, begun),
      ),
    )
    const parts = await collect(start, begun)
    const materialised: MaterialisedRef[] = await all(parts.map(part => invoke(controlled.materialise, { start, part }, begun)))
    const completion = { step: 'complete', start, materialised }
    if (faults.happens('completion is given up, and goes on')) {
      void controlled.checkpoint.invoke(completion, { lagsAt: dice.pick(['decision', 'sinks'] as const) })
      await scheduler.sleep(dice.spread(...GIVEN_UP_MS))
      throw new Failed('its completion was given up')
    }
    return (await invoke(controlled.checkpoint, completion, begun)).outcome
  }

  /** One checkpoint. */
  async function execute(): Promise<string> {
    const begun = scheduler.now
    const start = await invoke(controlled.checkpoint, { step: 'start', scheduled: true }, begun)
    if (start.nothing) return 'nothing'
    try {
      return await take(start, begun)
    } catch (error) {
      if (!(error instanceof Failed)) throw error
      const { outcome } = await invoke(controlled.checkpoint, { step: 'fail', start, reason: error.message }, begun)
      return outcome
    }
  }

  async function run(): Promise<void> {
    running++
    const begunAt = scheduler.now
    let outcome = 'stopped'
    try {
      outcome = await execute()
    } catch (error) {
      if (error instanceof Failed) outcome = 'errored'
      else if (!(error instanceof Stopped)) throw error
    }
    running--
    last = { outcome, begunAt }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    trace?.(`execution: ${outcome}`)
  }

  return {
    outcomes,
    get last() {
      return last
    },
    get running() {
      return running
    },
    relax() {
      everyMs = Math.max(everyMs, RELAXED_MS)
    },
    stop(all) {
      isOff = true
      if (all) stoppedAt = scheduler.now
    },
    goOn() {
      isOff = false
    },
    async start() {
      let idle = 0
      for (;;) {
        await scheduler.sleep(everyMs)
        if (isOff) continue
        const isIdle = running === 0 && last?.outcome === 'nothing' && !controlled.hasMoved(last.begunAt)
        idle = isIdle ? idle + 1 : 0
        if (idle > IDLE_LOOKS && idle % IDLE_EVERY !== 0) continue
        if (running > 0 && !faults.happens('two controllers at once')) continue
        void run()
      }
    },
  }
}

/** Like a Map state: what was begun goes on when one fails, but its outcome is that failure. */
function all<T>(work: readonly Promise<T>[]): Promise<T[]> {
  for (const w of work) w.catch(() => {})
  return Promise.all(work)
}
