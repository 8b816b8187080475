import type { InvocationContext } from '../aws/functions/event.ts'
import type { LagAt } from './lag.ts'
import { openSandbox, type Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'

export type Handler = (event: any, context: InvocationContext) => Promise<any>

/** What whoever invokes a function hears of it. */
export type Outcome = { readonly answer: any } | { readonly error: string; readonly message: string }

/** One function: environments that are made when there is none to spare, and are used again. */
export interface Lambda {
  readonly name: string
  /** Invocations that have not ended, those included that nobody waits for any more. */
  readonly running: number
  /** When the last one ended, ms of virtual time; 0: none has. */
  readonly endedAt: number
  /** `lagsAt`: in an environment of its own, which freezes while it learns where it stands or before it decides, and has time left when it thaws. */
  invoke(event: unknown, options?: { readonly lagsAt?: LagAt }): Promise<Outcome>
}

export interface LambdaOptions {
  readonly name: string
  readonly timeoutMs: number
  /** What a cold environment does first. */
  readonly load: (sandbox: Sandbox) => Handler
  /** Called with what a function throws, unless its environment has died meanwhile. */
  readonly onError: (error: unknown, name: string) => void
}

interface Environment {
  readonly sandbox: Sandbox
  readonly handler: Handler
}

const COLD_MS = [80, 3_000] as const
const WARM_MS = [1, 10] as const
/** What is left of a process that was given up may go on for so long, where nobody sees it. */
const ZOMBIE_SHARE = 0.5
/** Who has no more time than this left when it ends may have given up what it was doing (aws/functions/environment.ts). */
const MARGIN_MS = 2_000
/** Of an invocation's time. */
const LAG = [0.3, 0.9] as const
/** Before the next checkpoint is complete, which would hide what comes of it, and mostly behind what is decided meanwhile. */
const DECISION_LAG_MS = [2_000, 20_000] as const
/** For good, as far as anybody waits. */
const SINKS_LAG_MS = [60_000, 20 * 60_000] as const

export function openLambda(simulation: Simulation, { name, timeoutMs, load, onError }: LambdaOptions): Lambda {
  const { scheduler, dice, faults, trace } = simulation
  const idle: Environment[] = []
  let made = 0
  let running = 0
  let endedAt = 0

  function take(lagsAt: LagAt | undefined): { environment: Environment; isCold: boolean } {
    if (lagsAt === undefined && idle.length > 0 && !faults.happens('environment starts cold', name))
      return { environment: idle.splice(dice.below(idle.length), 1)[0]!, isCold: false }
    const sandbox = openSandbox(simulation, `${name}#${++made}`, lagsAt && { at: lagsAt, ms: lagOf(lagsAt, timeoutMs) })
    return { environment: { sandbox, handler: load(sandbox) }, isCold: true }
  }

  return {
    name,
    get running() {
      return running
    },
    get endedAt() {
      return endedAt
    },
    async invoke(event, { lagsAt } = {}) {
      // As it is on its way: two functions never share an object.
      const payload = JSON.stringify(event)
      const { environment, isCold } = take(lagsAt)
      const { sandbox, handler } = environment
      running++
      const [least, most] = isCold ? COLD_MS : WARM_MS
      await scheduler.sleep(dice.spread(least, most))
      sandbox.wake()
      trace?.(`${sandbox.name} begins`)
      const end = sandbox.clock.now() + timeoutMs
      const context = { getRemainingTimeInMillis: () => Math.max(0, end - sandbox.clock.now()) }
      let told = false
      return new Promise<Outcome>(resolve => {
        const tell = (outcome: Outcome) => {
          if (told) return
          told = true
          trace?.(
            `${sandbox.name} ends: ${'error' in outcome ? `${outcome.error}: ${outcome.message}` : JSON.stringify(outcome.answer)}`,
          )
          scheduler.cancel(timeUp)
          if (!('error' in outcome) && faults.happens('answer of a function is lost', sandbox.name))
            resolve({ error: 'Lambda.ServiceException', message: 'the answer was lost' })
          else resolve(outcome)
        }
        let over = false
        const finish = (outcome: Outcome) => {
          if (over) return
          over = true
          // It has ended in time, though nobody has heard yet: who is used again by then is not to be killed for it.
          scheduler.cancel(timeUp)
          running--
          endedAt = scheduler.now
          if (!sandbox.isDead && !told) {
            sandbox.rest(context.getRemainingTimeInMillis() <= MARGIN_MS)
            idle.push(environment)
          }
          scheduler.after(dice.spread(...WARM_MS), () => tell(outcome))
        }
        const timeUp = scheduler.after(timeoutMs, () => {
          tell({ error: 'Sandbox.Timedout', message: `Task timed out after ${timeoutMs} ms` })
          // Lambda ends what has run out of time; but it may have lost sight of it instead.
          if (!dice.chance(ZOMBIE_SHARE)) sandbox.kill()
        })
        sandbox.onDeath = () => finish({ error: 'Runtime.ExitError', message: 'Runtime exited' })
        handler(JSON.parse(payload), context).then(
          answer => finish({ answer: JSON.parse(JSON.stringify(answer)) }),
          (error: Error) => {
            if (sandbox.isDead) return
            onError(error, sandbox.name)
            finish({ error: error.name, message: error.message })
          },
        )
      })
    },
  }
}

function lagOf(at: LagAt, timeoutMs: number): readonly [number, number] {
  if (at === 'batch') return [timeoutMs * LAG[0], timeoutMs * LAG[1]]
  return at === 'decision' ? DECISION_LAG_MS : SINKS_LAG_MS
}
