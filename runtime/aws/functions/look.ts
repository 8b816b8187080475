import { decisions } from '../../checkpoint/decision.ts'
import { followLayouts } from '../../checkpoint/layouts.ts'
import { settleSinks } from '../../checkpoint/settle-sinks.ts'
import type { Environment } from './environment.ts'
import type { InvocationContext } from './event.ts'
import type { Executions } from './executions.ts'
import { isWanted } from './wanted.ts'

/** What the schedule says each time. */
export interface LookEvent {
  readonly step: 'look'
  /** ARN of the state machine that takes checkpoints. */
  readonly machine: string
  /** Each execution is followed by the next, which the schedule keeps going. */
  readonly chain?: boolean
  /** When this call was due, as EventBridge Scheduler writes it: two calls of one time are the same. */
  readonly at?: string
}

export interface Looked {
  /** `nothing` flowed since the last checkpoint, or is due; `busy`: one is being taken; or one was `begun`. */
  readonly looked: 'nothing' | 'busy' | 'begun'
}

/**
 * What the schedule calls: looks whether anything flowed since the last checkpoint, or is due, and only then has one taken. So an idle pipeline has no executions: what `start` would make up for
 * is made up for here. The lock of the state machine is what keeps two from being taken at a time; not to start a second one saves its transitions.
 */
export function lookHandler(
  environment: Environment,
  executions: Executions,
): (event: LookEvent, context: InvocationContext) => Promise<Looked> {
  return async ({ machine, chain = false, at }, context) => {
    environment.begin(context)
    await environment.renew()
    const { log } = environment.ports
    const run = await environment.existingRun()
    if (run === undefined) return { looked: 'nothing' }
    await followLayouts(log, run.topology)
    const last = (await decisions(log, run.topology.run)).at(-1)
    if (!(await isWanted(environment, run, last, true))) {
      await settleSinks(run.topology, last, environment.ports)
      return { looked: 'nothing' }
    }
    // A chain is told: it would not go on for long without its schedule (infra/checkpoint-definition.ts).
    if (!chain && (await executions.running(machine))) return { looked: 'busy' }
    await executions.start(machine, at && `scheduled-${at.replaceAll(/[^A-Za-z0-9-]/g, '-')}`, { repeat: true })
    return { looked: 'begun' }
  }
}
