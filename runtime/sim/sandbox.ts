import { ServiceUnavailableError, ThrottledError } from '../aws/errors.ts'
import type { Clock } from '../ports.ts'
import { type LagAt, openLag } from './lag.ts'
import type { Simulation } from './simulation.ts'

/** One environment of a function: a process that may be frozen for minutes in front of any answer, or end there. */
export interface Sandbox {
  readonly name: string
  readonly clock: Clock
  readonly isDead: boolean
  /** Between two invocations, when nothing in it moves. */
  readonly isIdle: boolean
  /** So far. */
  readonly invocations: number
  /** What was under way when an invocation ended may go on beside what later ones do. */
  readonly isMixed: boolean
  /** A request to a service. */
  call<T>(operation: Operation<T>): Promise<T>
  /** The next invocation begins: what was under way when the last one ended goes on too. */
  wake(): void
  /** Its invocation has ended. `isLate`: it has given up what it was doing. */
  rest(isLate: boolean): void
  kill(): void
  /** Called when it is killed. */
  onDeath: (() => void) | undefined
}

/** What a service is asked to do. */
export interface Operation<T> {
  /** For people: `log.put source/0 3`. */
  readonly name: string
  readonly isWrite?: boolean
  /** A request that is sent again may be applied twice, which is seen. */
  readonly mayDouble?: boolean
  /** What happens at the service, when the request gets there. */
  apply(): T
  /** Half of it is applied: the request consists of many. */
  applyInPart?(): void
}

const LATENCY_MS = [1, 12] as const
const SLOW_MS = [20, 8_000] as const
/** A client gives a request up after this long, and the network may deliver it still. */
const LATE_MS = [100, 90_000] as const
/** Between the last look at a deadline and the request: below what the runtime reckons with as the longest life of a view (15 minutes of an invocation). */
const FROZEN_MS = [50, 12 * 60_000] as const
/** In front of an answer: whoever thaws has to see that its time is over (protocol.md, A8). */
const LOST_MS = [31 * 60_000, 100 * 60_000] as const
/** In front of a look at what was decided, as long as a checkpoint takes: of whoever has read a log before, and then a checkpoint that is beyond it (protocol.md, E2). */
const BETWEEN_MS = [500, 8_000] as const
const DECISIONS = /^log\.range .*\/decisions /
const SKEW_MS_MAX = 4_000
const COMMIT = 'log.put'
/** What was on its way at a checkpoint, of a run that goes on from it (protocol.md, D8). */
const CHANNEL_STATE = /^blobs\.get channels\//

/** `lag`: for so long it freezes in front of a call of its first invocation (lag.ts). */
export function openSandbox(
  simulation: Simulation,
  name: string,
  lag?: { readonly at: LagAt; readonly ms: readonly [number, number] },
): Sandbox {
  const { scheduler, dice, faults, trace } = simulation
  const skew = faults.happens('clock is wrong', name) ? Math.round((dice.fraction() * 2 - 1) * SKEW_MS_MAX) : 0
  let lags = lag && openLag(lag.at, dice)
  let isDead = false
  let isIdle = false
  let invocations = 0
  let open = 0
  let isMixed = false
  let frozenUntil = 0
  let waiting: (() => void)[] = []
  /** It has read channel state in this invocation: so many commits since. */
  let injected: number | undefined

  /** Goes on inside of the sandbox: not while it is frozen, and never when it is dead. */
  function enter(run: () => void): void {
    if (isDead) return
    if (isIdle) waiting.push(run)
    else if (scheduler.now < frozenUntil) scheduler.after(frozenUntil - scheduler.now, () => enter(run))
    else run()
  }

  function freeze([least, most]: readonly [number, number]): void {
    frozenUntil = scheduler.now + dice.spread(least, most)
    trace?.(`${name} freezes for ${Math.round(frozenUntil - scheduler.now)} ms`)
  }

  /** Before a request leaves. */
  function strike(what: string): void {
    if (lags?.(what)) freeze(lag!.ms)
    if (DECISIONS.test(what) && faults.happens('checkpoint comes in between', name, what)) freeze(BETWEEN_MS)
    if (faults.happens('environment freezes', name, what)) freeze(FROZEN_MS)
    if (faults.happens('environment is killed', name, what)) kill()
    // Its frames are out, and nobody knows yet whether they count: what the rest of the protocol is for.
    if (what.startsWith(COMMIT) && faults.happens('environment stops before its commit', name, what))
      dice.chance(0.5) ? kill() : freeze(FROZEN_MS)
    strikeInjection(what)
  }

  /** Behind the first commit of who injects: whoever goes on has to know how much of that is taken. */
  function strikeInjection(what: string): void {
    if (CHANNEL_STATE.test(what)) injected ??= 0
    else if (injected !== undefined && what.startsWith(COMMIT) && injected++ > 0)
      if (faults.happens('environment stops in what it injects', name, what)) kill()
  }

  function kill(): void {
    if (isDead) return
    isDead = true
    waiting = []
    trace?.(`${name} is killed`)
    sandbox.onDeath?.()
  }

  function latency(what: string): number {
    return faults.happens('call is slow', name, what) ? dice.spread(...SLOW_MS) : dice.spread(...LATENCY_MS)
  }

  function send<T>(operation: Operation<T>, resolve: (answer: T) => void, reject: (error: unknown) => void): void {
    const { name: what, isWrite = false, applyInPart } = operation
    const at = (delay: number, run: () => void) => void scheduler.after(delay, run)
    const answer = (run: () => void) =>
      at(latency(what), () => {
        if (faults.happens('environment is frozen for an hour', name, what)) freeze(LOST_MS)
        enter(() => {
          open--
          run()
        })
      })
    const fail = (error: Error) => {
      trace?.(`${name} ${what}: ${error.message}`)
      answer(() => reject(error))
    }
    const lost = () => fail(new ServiceUnavailableError('simulated', 'it may have taken effect'))
    const refused = () => fail(new ThrottledError('simulated', 'it took no effect'))
    const apply = () => {
      trace?.(`${name} ${what}`)
      return operation.apply()
    }
    const applied = () => {
      let result: T
      try {
        result = apply()
      } catch (error) {
        answer(() => reject(error))
        return
      }
      if (isWrite && faults.happens('write fails, and is applied', name, what)) lost()
      else answer(() => resolve(result))
    }
    const inPart = () => {
      applyInPart!()
      lost()
    }
    if (!isWrite && faults.happens('read fails', name, what)) at(latency(what), lost)
    else if (isWrite && faults.happens('write is refused', name, what)) at(latency(what), refused)
    else if (isWrite && faults.happens('write fails, and lands later', name, what)) {
      at(latency(what), lost)
      at(dice.spread(...LATE_MS), () => quietly(apply))
    } else if (applyInPart !== undefined && faults.happens('write is applied in part', name, what)) at(latency(what), inPart)
    else {
      if (operation.mayDouble && faults.happens('write lands twice', name, what))
        at(dice.spread(...LATE_MS), () => quietly(apply))
      at(latency(what), applied)
    }
  }

  const clock: Clock = {
    now: () => Math.floor(scheduler.now) + skew,
    sleep: (ms, signal) =>
      new Promise(resolve => {
        if (signal?.aborted) return resolve()
        const event = scheduler.after(ms, () => enter(resolve))
        signal?.addEventListener('abort', () => {
          scheduler.cancel(event)
          resolve()
        })
      }),
  }

  const sandbox: Sandbox = {
    name,
    clock,
    get isDead() {
      return isDead
    },
    get isIdle() {
      return isIdle
    },
    get invocations() {
      return invocations
    },
    get isMixed() {
      return isMixed
    },
    call: operation =>
      new Promise((resolve, reject) => {
        if (isDead) return
        open++
        strike(operation.name)
        // Frozen between the last check of its deadline and the request: that leaves when it thaws.
        enter(() => send(operation, resolve, reject))
      }),
    wake() {
      isIdle = false
      invocations++
      const ready = waiting
      waiting = []
      for (const run of ready) scheduler.after(dice.fraction(), () => enter(run))
    },
    rest(isLate) {
      isIdle = true
      injected = undefined
      isMixed ||= isLate || open > 0
      lags = undefined
    },
    kill,
    onDeath: undefined,
  }
  return sandbox
}

/** Nobody hears what it said. */
function quietly(apply: () => unknown): void {
  try {
    apply()
  } catch {
    // Refused, as it would be to whoever asks in time.
  }
}
