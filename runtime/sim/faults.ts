import type { Dice } from './random.ts'

/** What can go wrong, by name. The number: how often it does at most, of the times that it could. */
export const FAULTS = {
  'call is slow': 0.2,
  'read fails': 0.1,
  'write is refused': 0.1,
  'write fails, and is applied': 0.2,
  'write fails, and lands later': 0.2,
  'write lands twice': 0.2,
  'write is applied in part': 0.3,
  'read lags': 0.5,
  'key is left unprocessed': 0.2,
  'environment is killed': 0.05,
  'environment freezes': 0.04,
  'environment is frozen for an hour': 0.004,
  'stream loses a frame': 0.04,
  'environment starts cold': 0.5,
  'clock is wrong': 0.5,
  'batch goes to two environments': 0.5,
  'batch comes again': 0.3,
  'batch is cut short': 1,
  'shard is left alone': 0.5,
  'answer of a function is lost': 0.2,
  'user code throws': 0.05,
  'step is called twice': 0.4,
  'step is called again late': 0.2,
  'controller stops': 0.1,
  'two controllers at once': 0.8,
  'source is resharded': 1,
  'stage is resharded': 1,
  'copy of a batch lags': 0.4,
  'environment stops before its commit': 0.1,
} as const

/** The same, of kinds that came later: the weather of each is drawn by itself, so that seeds keep what they have of the others. `chance`: that a seed has it; few have what ends a run. */
const LATER_FAULTS = {
  'stream loses a later frame of a version': { most: 0.3, chance: 0.12 },
  'checkpoint comes in between': { most: 0.9, chance: 0.6 },
  'shard loses its end, and is merged': { most: 1, chance: 0.15 },
  'controller stops with its step': { most: 0.8, chance: 0.3 },
  'environment stops in what it injects': { most: 0.8, chance: 0.5 },
  'completion is given up, and goes on': { most: 0.9, chance: 0.3 },
} as const

type Later = keyof typeof LATER_FAULTS
export type Fault = keyof typeof FAULTS | Later
const ALL = Object.keys(FAULTS) as (keyof typeof FAULTS)[]
const LATER = Object.keys(LATER_FAULTS) as Later[]

/** One fault that was injected: the same number in a second run of the same seed, as long as all before it are the same too. */
export interface Injected {
  readonly number: number
  readonly fault: Fault
}

export interface Faults {
  /** Whether it happens now. `where` and `what` are for people: the environment or shard, and its request. */
  happens(fault: Fault, where?: string, what?: string): boolean
  /** From now on nothing goes wrong any more. */
  stop(): void
  /** Of the next one. */
  readonly number: number
  readonly injected: readonly Injected[]
}

/** Which faults a run leaves out, to find out which ones matter. */
export type Leaves = (injected: Injected) => boolean

/**
 * `first`: the number of the first one. `often`: what has to be there, and not rarely. `onInjected`: told of each that happens.
 *
 * Each seed has weather of its own: some kinds of faults not at all, others rarely, others often. All kinds in every run would hide one behind another.
 */
export function openFaults(
  seed: Dice,
  leavesOut: Leaves = () => false,
  first = 0,
  often: readonly (keyof typeof FAULTS)[] = [],
  onInjected: (fault: Fault, where: string) => void = () => {},
): Faults {
  const weather = seed.fork('weather')
  const rates = new Map<Fault, number>()
  const calm = weather.fraction()
  for (const fault of ALL) rates.set(fault, weather.chance(calm) ? 0 : FAULTS[fault] * weather.spread(0.02, 1))
  // It ends a run, so that few have it.
  rates.set('stream loses a frame', weather.chance(0.8) ? 0 : FAULTS['stream loses a frame'] * weather.spread(0.03, 1))
  for (const fault of often) rates.set(fault, FAULTS[fault] * weather.spread(0.5, 1))
  for (const fault of LATER) {
    const own = seed.fork(`weather of ${fault}`)
    const { most, chance } = LATER_FAULTS[fault]
    rates.set(fault, own.chance(chance) ? most * own.spread(0.1, 1) : 0)
  }
  const sequences = new Map([...ALL, ...LATER].map(fault => [fault, seed.fork(fault)]))
  const injected: Injected[] = []
  let stopped = false
  let number = first
  return {
    injected,
    get number() {
      return number
    },
    stop() {
      stopped = true
    },
    happens(fault, where = '', what = '') {
      const rate = rates.get(fault)!
      if (stopped || rate === 0 || !sequences.get(fault)!.chance(rate)) return false
      const next = { number: number++, fault }
      if (leavesOut(next)) return false
      injected.push(next)
      onInjected(fault, `${where} ${what}`.trim())
      return true
    },
  }
}

/** No fault at all. */
export const NO_FAULTS: Faults = { happens: () => false, stop() {}, number: 0, injected: [] }
