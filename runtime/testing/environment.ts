import { ThrottledError } from '../aws/errors.ts'
import type { Ports } from '../ports.ts'
import type { Dice } from '../sim/random.ts'
import { type AttemptLimits, defaultLimits } from '../stage/attempt.ts'
import { Subtask } from '../stage/subtask.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import type { CrashPoint, TestFault } from './faults.ts'
import { intercepted, type PortCall } from './intercept.ts'

/** The environment has ended: nothing that it does reaches anybody. */
export class Crash extends Error {
  override readonly name = 'Crash'
}

/** One environment of a subtask: what a Lambda of the stage would be. */
export interface Environment {
  readonly subtask: Subtask
  /** From now on it stops in front of its commits until the gate opens. */
  gate: Gate | undefined
}

/** What the environments of one test share. */
export interface EnvironmentOptions {
  readonly topology: Topology
  readonly ports: Ports
  readonly faults: () => readonly TestFault[]
  readonly dice: Dice
  /** `<point> <log> <version>` of each crash so far: there is one for each commit. */
  readonly crashed: Set<string>
  readonly batchSize: number
}

/** Where a zombie waits. */
export interface Gate {
  /** Somebody has come to it. */
  readonly reached: Promise<void>
  pass(): Promise<void>
  open(): void
}

export function openGate(): Gate {
  let arrive = () => {}
  let open = () => {}
  const reached = new Promise<void>(resolve => {
    arrive = resolve
  })
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return {
    reached,
    pass() {
      arrive()
      return opened
    },
    open,
  }
}

export function openEnvironment(options: EnvironmentOptions, at: StageTopology, shard: number): Environment {
  const { topology, ports, faults, dice, crashed, batchSize } = options
  const log = topology.log(at.stage.index, shard)
  let isDead = false

  /** Dies here if it has not yet at this point of this version. */
  function dieAt(point: CrashPoint): void {
    if (!faults().some(f => f.kind === 'crash' && f.after === point)) return
    const version = (environment.subtask.current?.head.version ?? 0) + 1
    const place = `${point} ${log} ${version}`
    if (crashed.has(place)) return
    crashed.add(place)
    isDead = true
    throw new Crash(`the environment ended: ${place}`)
  }

  const isCommit = ({ port, method, args }: PortCall) => port === 'log' && method === 'putIfAbsent' && args[0] === log

  async function around(call: PortCall, apply: () => Promise<unknown>): Promise<unknown> {
    if (isDead) throw new Crash('the environment has ended')
    if (!/^(put|putIfAbsent)$/.test(call.method)) return apply()
    const throttled = faults().find(f => f.kind === 'throttle')
    if (throttled?.kind === 'throttle' && dice.chance(throttled.rate))
      throw new ThrottledError('the test kit', `${call.port}.${call.method} is throttled`)
    dieAt('process')
    if (!isCommit(call)) return apply()
    dieAt('send')
    await environment.gate?.pass()
    const won = await apply()
    if (won === true) dieAt('commit')
    return won
  }

  const limits: AttemptLimits = { ...defaultLimits, recordsMax: batchSize }
  const environment: Environment = {
    subtask: new Subtask(topology, at, shard, intercepted(ports, around), limits),
    gate: undefined,
  }
  return environment
}
