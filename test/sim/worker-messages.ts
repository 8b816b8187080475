import type { Change } from './changes.ts'

/** What a worker process is told when it begins. */
export interface WorkerOptions {
  readonly changes: readonly Change[]
  readonly pipeline: string | undefined
}

/** Seeds of one worker, in order. */
export interface Job {
  readonly seeds: readonly number[]
  readonly trace?: boolean
  /** Numbers of the only faults that happen. */
  readonly only?: readonly number[]
}

/** What it says once, when it has loaded what it runs; all else that it says are reports. */
export const READY = 'ready'
