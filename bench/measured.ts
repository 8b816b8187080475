/** What to run, and how. */
export interface RunSettings {
  /** `q5`, `e1`, … */
  readonly query: string
  /** Files of NDJSON, each a split. */
  readonly events: readonly string[]
  /** How far out of order the events may be. */
  readonly boundMs: number
  readonly parallelism: number
  /** The whole protocol: a state directory, and a checkpoint each second. False: in memory, with the last checkpoint only. */
  readonly exactlyOnce: boolean
  /** As a backfill, in one thread. */
  readonly bounded?: boolean
}

/** What one run took. */
export interface Measured {
  readonly events: number
  /** Of the job alone: the process had started already. */
  readonly seconds: number
  /** From the start of the process to the end of the job: Node's with its threads, or Flink's JVM with its cluster. */
  readonly processSeconds: number
  /** Ours: of the whole process with all its threads. Flink's: without the start of its JVM, as its bench tells it. */
  readonly cpuSeconds: number
  /** Largest resident set; undefined: could not be told. */
  readonly peakMb: number | undefined
  readonly checkpoints: number
}

/** Of ours. */
export interface OwnMeasured extends Measured {
  readonly results: number
  readonly late: number
  /** Pauses of the collector in the time of the run. */
  readonly gcShare: number
}

export const perSecond = ({ events, seconds }: Measured) => events / seconds
export const perCpuSecond = ({ events, cpuSeconds }: Measured) => events / cpuSeconds

/** The run with the most events a CPU-second: the one that was disturbed least. */
export function best<M extends Measured>(runs: readonly M[]): M {
  return runs.reduce((a, b) => (perCpuSecond(b) > perCpuSecond(a) ? b : a))
}
