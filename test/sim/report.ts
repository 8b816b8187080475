import type { Injected } from '../../runtime/sim/faults.ts'

/** What a worker process says of one seed. */
export interface Report {
  readonly seed: number
  readonly pipeline: string
  readonly error: string | undefined
  /** It never came to an end: what happened in it is not known. */
  readonly hangs?: true
  readonly virtualMs: number
  readonly cpuMs: number
  readonly injected: readonly Injected[]
  /** Checkpoints by how they ended. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly trace: readonly string[]
}

/** Of a seed whose process was ended. */
export function hang(seed: number, pipeline: string, ms: number): Report {
  const error = `Hang: no end after ${ms / 1000} s, in which nothing waits for a call or a time`
  return { seed, pipeline, error, hangs: true, virtualMs: 0, cpuMs: ms, injected: [], outcomes: {}, trace: [] }
}

/** Of many seeds. */
export interface Totals {
  add(report: Report): void
  readonly runs: number
  text(): string
}

export function openTotals(): Totals {
  let runs = 0
  let virtualMs = 0
  let cpuMs = 0
  const faults = new Map<string, number>()
  const outcomes = new Map<string, number>()
  const pipelines = new Map<string, number>()
  const more = (map: Map<string, number>, key: string, n = 1) => map.set(key, (map.get(key) ?? 0) + n)
  const list = (map: Map<string, number>) =>
    [...map]
      .sort((a, b) => b[1] - a[1])
      .map(([name, n]) => `${String(n).padStart(10)} ${name}`)
      .join('\n')
  return {
    get runs() {
      return runs
    },
    add(report) {
      runs++
      virtualMs += report.virtualMs
      cpuMs += report.cpuMs
      more(pipelines, report.pipeline)
      for (const { fault } of report.injected) more(faults, fault)
      for (const [outcome, n] of Object.entries(report.outcomes)) more(outcomes, outcome, n)
    },
    text() {
      const hours = (virtualMs / 3_600_000).toFixed(1)
      const checkpoints = [...outcomes].map(([outcome, n]) => `${n} ${outcome}`).join(', ')
      return [
        `${runs} ${runs === 1 ? 'run' : 'runs'} of ${pipelines.size} ${pipelines.size === 1 ? 'pipeline' : 'pipelines'}, ${hours} simulated hours, ${(cpuMs / 1000).toFixed(1)} s of CPU (${(cpuMs / Math.max(1, runs)).toFixed(0)} ms a run)`,
        `checkpoints: ${checkpoints}`,
        'faults:',
        list(faults),
      ].join('\n')
    },
  }
}
