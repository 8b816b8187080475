import { fork } from 'node:child_process'
import type { Report } from './report.ts'
import type { Job, WorkerOptions } from './worker.ts'

/** A process of its own, whose modules may read otherwise than here. */
export interface Worker {
  /** Runs a job; each seed's report as it comes. One at a time. */
  run(job: Job, onReport: (report: Report) => void): Promise<void>
  stop(): void
}

const FILE = new URL('worker.ts', import.meta.url)

export function openWorker(options: WorkerOptions): Worker {
  const child = fork(FILE, [JSON.stringify(options)], { execArgv: ['--no-warnings'] })
  let hear: (report: Report) => void = () => {}
  let fail: (error: Error) => void = () => {}
  let ended: Error | undefined
  child.on('message', report => hear(report as Report))
  child.on('exit', code => {
    ended = new Error(`a worker process ended with ${code}`)
    fail(ended)
  })
  return {
    run: (job, onReport) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) return reject(ended)
        fail = reject
        hear = report => {
          onReport(report)
          if (report.seed === job.seeds.at(-1)) resolve()
        }
        child.send(job)
      }),
    stop: () => void child.kill(),
  }
}

/** Runs `work` with a worker, which ends with it. */
export async function withWorker<T>(options: WorkerOptions, work: (worker: Worker) => Promise<T>): Promise<T> {
  const worker = openWorker(options)
  try {
    return await work(worker)
  } finally {
    worker.stop()
  }
}
