import { ThrottledError } from '../aws/errors.ts'
import { LostRaceError } from '../protocol/errors.ts'
import type { Subtask } from '../stage/subtask.ts'
import type { StageTopology } from '../stage/topology.ts'
import { StaleViewError } from '../state/base.ts'
import { Crash, type Environment, type EnvironmentOptions, openEnvironment, openGate } from './environment.ts'
import { TestKitError } from './error.ts'
import type { TestSplit } from './input.ts'

/** A subtask, and who works on it. */
export interface Task {
  readonly at: StageTopology
  readonly shard: number
  /** Of a source. */
  readonly split: TestSplit | undefined
  /** How far its stream is through. */
  cursor: string | undefined
  /** When a source last had a record, epoch ms. */
  heardAt: number
  environment: Environment
  zombie: Environment | undefined
}

/** A delivery that fails so often fails for ever: throttled calls are few of them. */
const TRIES_MAX = 10_000

/** Has a subtask do its work under whatever faults there are, until it is done. What user code throws is thrown. */
export async function perform<T>(options: EnvironmentOptions, task: Task, work: (subtask: Subtask) => Promise<T>): Promise<T> {
  const has = (kind: string) => options.faults().some(f => f.kind === kind)
  const zombie = has('zombies') ? await freeze(options, task, work) : undefined
  try {
    const result = await untilDone(options, task, work)
    if (!has('always redeliver')) return result
    await untilDone(options, task, work)
    await renew(options, task)
    await untilDone(options, task, work)
    return result
  } finally {
    await zombie?.thaw()
  }
}

/** The same without a second delivery: for looking, and for what is asked for once. */
export async function untilDone<T>(options: EnvironmentOptions, task: Task, work: (subtask: Subtask) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work(task.environment.subtask)
    } catch (error) {
      if (!mayPass(error)) throw error
      if (tries === TRIES_MAX)
        throw new TestKitError(`${task.environment.subtask.log} was tried ${tries} times: ${(error as Error).message}`, {
          cause: error,
        })
      if (error instanceof Crash) await renew(options, task)
    }
  }
}

/** A new environment in the place of the task's, which knows nothing yet. */
export async function renew(options: EnvironmentOptions, task: Task): Promise<void> {
  await task.environment.subtask.close().catch(() => {})
  task.environment = openEnvironment(options, task.at, task.shard)
}

/** Another environment does the same, up to its commit. */
async function freeze<T>(options: EnvironmentOptions, task: Task, work: (subtask: Subtask) => Promise<T>) {
  task.zombie ??= openEnvironment(options, task.at, task.shard)
  const gate = openGate()
  task.zombie.gate = gate
  const { subtask } = task.zombie
  // Whatever comes of it is nobody's business. One that finds that it is behind begins again, from the log.
  const over = work(subtask)
    .catch(error => {
      if (!(error instanceof LostRaceError)) throw error
      return work(subtask)
    })
    .then(
      () => {},
      error => {
        if (error instanceof Crash) task.zombie = undefined
      },
    )
  await Promise.race([over, gate.reached])
  return {
    async thaw() {
      gate.open()
      await over
      if (task.zombie !== undefined) task.zombie.gate = undefined
    },
  }
}

function mayPass(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause)
    if (e instanceof Crash || e instanceof LostRaceError || e instanceof StaleViewError || e instanceof ThrottledError)
      return true
  return false
}
