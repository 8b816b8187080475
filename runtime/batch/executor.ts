import type { Prepared } from './job.ts'
import { type OnTaskProgress, runTask, type Task, type TaskResult } from './task.ts'

/** Runs tasks, as many at a time as it has slots. */
export interface Executor {
  readonly slots: number
  /** Resolves when the task is done for good. */
  run(task: Task, onProgress: OnTaskProgress): Promise<TaskResult>
  /** Ends what is under way. */
  close(): Promise<void>
}

/** In this thread, one task at a time. */
export function inline(prepared: Prepared, signal: AbortSignal | undefined): Executor {
  return {
    slots: 1,
    run: (task, onProgress) => runTask(prepared, task, onProgress, signal),
    async close() {},
  }
}
