import { Worker } from 'node:worker_threads'
import type { Executor } from '../../batch/executor.ts'
import type { OnTaskProgress, Task, TaskResult } from '../../batch/task.ts'
import { MillraceError } from '../../errors.ts'
import type { FromThread, ThreadSettings } from './thread.ts'

/** In the repository the sources run as they are; an installed package has what was built of them. */
const THREAD = new URL(`./thread${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url)

/** What a thread threw, with the name and the place that it had there. */
class ThreadError extends MillraceError {
  constructor(name: string, message: string, stack: string | undefined) {
    super(message)
    Object.defineProperty(this, 'name', { value: name })
    if (stack !== undefined) this.stack = stack
  }
}

/** Runs tasks in worker threads, each with its own copy of the pipeline. A thread is started when there is work for it. */
export function threads(slots: number, settings: ThreadSettings): Executor {
  const idle: Worker[] = []
  const all = new Set<Worker>()
  return {
    slots,
    async run(task, onProgress) {
      const worker = idle.pop() ?? start(settings, all)
      const result = await one(worker, task, onProgress)
      idle.push(worker)
      return result
    },
    async close() {
      await Promise.all([...all].map(worker => worker.terminate()))
    },
  }
}

function start(settings: ThreadSettings, all: Set<Worker>): Worker {
  const worker = new Worker(THREAD, { workerData: settings })
  all.add(worker)
  worker.setMaxListeners(0)
  return worker
}

function one(worker: Worker, task: Task, onProgress: OnTaskProgress): Promise<TaskResult> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      done()
    }
    const onMessage = (message: FromThread) => {
      if (message.kind === 'progress') onProgress(message.fraction, message.records)
      else if (message.kind === 'result') settle(() => resolve(message.result))
      else settle(() => reject(errorOf(message)))
    }
    const onError = (error: unknown) => settle(() => reject(outOfMemory(error) ?? error))
    const onExit = () => settle(() => reject(new MillraceError('a worker thread of the backfill ended before its task')))
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
    worker.postMessage(task)
  })
}

function errorOf({ error }: Extract<FromThread, { readonly kind: 'error' }>): Error {
  if (error.known) return new ThreadError(error.name, error.message, error.stack)
  return Object.assign(new Error(error.message), { name: error.name, stack: error.stack })
}

function outOfMemory(error: unknown): MillraceError | undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') return undefined
  return new MillraceError(
    'a worker thread ran out of memory: give Node more (NODE_OPTIONS=--max-old-space-size=MB), or work with fewer (--workers)',
    { cause: error },
  )
}
