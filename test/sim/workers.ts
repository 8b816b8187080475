import { fork } from 'node:child_process'
import { hang, type Report } from './report.ts'
import { scenarioOf } from './scenarios.ts'
import type { Job, WorkerOptions } from './worker.ts'

/** A process of its own, whose modules may read otherwise than here. */
export interface Worker {
  /** Runs a job; each seed's report as it comes. One at a time. A seed that never ends is reported as such, and ends the process. */
  run(job: Job, onReport: (report: Report) => void): Promise<void>
  /** Ends it, and what it runs. */
  stop(): void
}

/** A seed takes some hundred ms, and one that goes on in vain half a minute. */
const HANGS_MS = 120_000

/** A fifth less CPU: nobody reads where errors are from, of which there are many, and little lives longer than a seed. */
const FASTER = ['--stack-trace-limit=0', '--max-semi-space-size=64']

const FILE = new URL('worker.ts', import.meta.url)

export function openWorker(options: WorkerOptions, hangsMs = HANGS_MS): Worker {
  const child = fork(FILE, [JSON.stringify(options)], { execArgv: ['--no-warnings', ...FASTER] })
  let hear: (report: Report) => void = () => {}
  let fail: (error: Error) => void = () => {}
  let end = () => {}
  let ended: Error | undefined
  child.on('message', report => hear(report as Report))
  child.on('exit', code => {
    ended = new Error(`a worker process ended with ${code}`)
    fail(ended)
  })
  const stop = () => {
    end()
    child.kill()
  }
  return {
    run({ seeds, ...how }, onReport) {
      const left = [...seeds]
      let seconds = 0
      // Second by second: what is stopped for a while, with its processes, hangs no more than they.
      const timer = setInterval(() => {
        if (++seconds * 1000 < hangsMs) return
        const seed = left[0]!
        onReport(hang(seed, scenarioOf(seed, options.pipeline).name, hangsMs))
        stop()
      }, 1000)
      const running = new Promise<void>((resolve, reject) => {
        if (ended !== undefined) return reject(ended)
        ;[fail, end] = [reject, resolve]
        hear = report => {
          left.shift()
          seconds = 0
          onReport(report)
          if (left.length === 0) resolve()
        }
        child.send({ seeds, ...how } satisfies Job)
      })
      return running.finally(() => clearInterval(timer))
    },
    stop,
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
