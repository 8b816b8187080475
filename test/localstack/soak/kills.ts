import { readdirSync, readFileSync } from 'node:fs'
import { seeded } from '../../engine/events.ts'

/** One kill: so long after the one before, of the environment at this fraction of the list of them. */
export interface PlannedKill {
  readonly afterMs: number
  readonly victim: number
}

/** Kills at random moments: as many a second whatever was before (exponential gaps). The same seed gives the same plan. */
export function* killPlan(seed: number, meanMs: number): Generator<PlannedKill> {
  const random = seeded(seed)
  for (;;) yield { afterMs: -Math.log(1 - random()) * meanMs, victim: random() }
}

/** By function. */
export type Kills = Map<string, number>

/** Over so long an environment that works has used some CPU. */
const LOOK_MS = 200

/**
 * Kills (SIGKILL) environments of functions by a plan, until `ended`, which is told how many they are so far: processes of this machine that have `variable` (`NAME=value`) in their
 * environment. Those that are at work first: a kill of one that waits for its next invocation shows little.
 */
export async function killByPlan(
  plan: Iterable<PlannedKill>,
  variable: string,
  ended: (kills: number) => boolean,
): Promise<Kills> {
  const kills: Kills = new Map()
  let count = 0
  for (const { afterMs, victim } of plan) {
    for (let left = afterMs; left > 0 && !ended(count); left -= LOOK_MS) await pause(Math.min(left, LOOK_MS))
    if (ended(count)) break
    const before = new Map(environments(variable).map(e => [e.pid, e.ticks]))
    await pause(LOOK_MS)
    const all = environments(variable)
    const working = all.filter(e => e.ticks > (before.get(e.pid) ?? 0))
    const among = working.length > 0 ? working : all
    const killed = among[Math.floor(victim * among.length)]
    if (killed === undefined || !kill(killed.pid)) continue
    count++
    kills.set(killed.name, (kills.get(killed.name) ?? 0) + 1)
  }
  return kills
}

interface EnvironmentProcess {
  readonly pid: number
  /** The function's. */
  readonly name: string
  /** Of CPU so far. */
  readonly ticks: number
}

/** In the order of their start, as far as process ids tell it. */
function environments(variable: string): EnvironmentProcess[] {
  const found: EnvironmentProcess[] = []
  for (const entry of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    const variables = read(`/proc/${entry}/environ`).split('\0')
    if (!variables.includes(variable)) continue
    const name = variables.find(v => v.startsWith('AWS_LAMBDA_FUNCTION_NAME='))
    if (name === undefined) continue
    // Behind the name of the program, which may have spaces: fields 3 on.
    const fields = read(`/proc/${entry}/stat`).split(') ').at(-1)!.split(' ')
    found.push({ pid: Number(entry), name: name.split('=')[1]!, ticks: Number(fields[11]) + Number(fields[12]) })
  }
  return found.sort((a, b) => a.pid - b.pid)
}

/** Empty: the process has gone, or is another user's. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false
  }
}

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
