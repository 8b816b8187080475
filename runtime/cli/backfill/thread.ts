import { parentPort, workerData } from 'node:worker_threads'
import { type Job, prepare } from '../../batch/job.ts'
import { runTask, type Task, type TaskResult } from '../../batch/task.ts'
import { MillraceError } from '../../errors.ts'
import { sinksOf } from '../bindings.ts'
import { loadGraph } from '../load.ts'
import { anyFiles } from './input.ts'

/** What a thread has to know to run tasks: plain data. */
export interface ThreadSettings {
  /** That exports the pipeline. */
  readonly file: string
  readonly job: Job
  readonly directory: string
  /** Files that sinks write to, by name. */
  readonly targets: Readonly<Record<string, string>>
  /** Bytes. */
  readonly stateMemory: number
}

export type FromThread =
  | { readonly kind: 'progress'; readonly fraction: number; readonly records: number }
  | { readonly kind: 'result'; readonly result: TaskResult }
  | {
      readonly kind: 'error'
      /** `known`: the message is meant for people. */
      readonly error: {
        readonly name: string
        readonly message: string
        readonly stack: string | undefined
        readonly known: boolean
      }
    }

/** Between two messages about one task. */
const PROGRESS_MS = 200

const { file, job, directory, targets, stateMemory } = workerData as ThreadSettings
const tell = (message: FromThread) => parentPort!.postMessage(message)
const prepared = loadGraph(file).then(graph => prepare(graph, job, directory, sinksOf(targets), stateMemory, anyFiles()))
prepared.catch(() => {}) // told by the first task

parentPort!.on('message', async (task: Task) => {
  let told = 0
  try {
    const result = await runTask(await prepared, task, (fraction, records) => {
      const now = Date.now()
      if (now - told < PROGRESS_MS) return
      told = now
      tell({ kind: 'progress', fraction, records })
    })
    tell({ kind: 'result', result })
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown))
    const { name, message, stack } = error
    tell({ kind: 'error', error: { name, message, stack, known: error instanceof MillraceError } })
  }
})
