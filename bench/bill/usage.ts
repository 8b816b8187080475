/** What one part of a pipeline was asked for, in the units that AWS bills. */
export interface Usage {
  /** Lambda. */
  invocations: number
  /** CPU, measured, and of the SDK's calls as machine.json has them. */
  cpuMs: number
  /** Waiting for services on the critical path, by machine.json. */
  waitMs: number
  /** Each as long as it was, in whole ms. */
  billedMs: number
  commits: number
  /** Of commits: rows of the log. */
  commitUnits: number
  /** As they would have been without the changes of state in them. */
  commitUnitsBesideState: number
  /** Other rows: of the log, and of state. */
  writeUnits: number
  /** Of these, rows of state. */
  stateUnits: number
  /** Rows of the log that were deleted: what writing them took. */
  expiredUnits: number
  readUnits: number
  /** Changes of state, bytes, wherever they lie. */
  stateBytes: number
  /** S3: puts and lists. */
  s3Puts: number
  s3Gets: number
  frames: number
  frameBytes: number
  /** Of 25 KB. */
  putUnits: number
  /** Step Functions. */
  transitions: number
  /** Calls to any service by the SDK. */
  calls: number
}

export function noUsage(): Usage {
  return {
    invocations: 0,
    cpuMs: 0,
    waitMs: 0,
    billedMs: 0,
    commits: 0,
    commitUnits: 0,
    commitUnitsBesideState: 0,
    writeUnits: 0,
    stateUnits: 0,
    expiredUnits: 0,
    readUnits: 0,
    stateBytes: 0,
    s3Puts: 0,
    s3Gets: 0,
    frames: 0,
    frameBytes: 0,
    putUnits: 0,
    transitions: 0,
    calls: 0,
  }
}

const FIGURES = Object.keys(noUsage()) as (keyof Usage)[]

/** Figure by figure. */
export function combined(a: Usage, b: Usage, how: (a: number, b: number) => number): Usage {
  return Object.fromEntries(FIGURES.map(figure => [figure, how(a[figure], b[figure])])) as unknown as Usage
}

export const sum = (all: readonly Usage[]): Usage => all.reduce((a, b) => combined(a, b, (x, y) => x + y), noUsage())
export const since = (before: Usage, now: Usage): Usage => combined(now, before, (x, y) => x - y)
export const times = (usage: Usage, factor: number): Usage => combined(usage, usage, x => x * factor)
