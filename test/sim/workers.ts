import { type ChildProcess, fork } from 'node:child_process'
import { hang, type Report } from './report.ts'
import { scenarioOf } from './scenarios.ts'
import { type Job, READY, type WorkerOptions } from './worker-messages.ts'

/** A process of its own, whose modules may read otherwise than here. Behind one that has ended comes another. */
export interface Worker {
  /** Runs a job; each seed's report as it comes. One at a time. A seed that never ends is reported as such, and ends the process. */
  run(job: Job, onReport: (report: Report) => void): Promise<void>
  /** Ends the process, and what it runs. */
  stop(): void
}

export interface OpenOptions {
  /** A seed takes some hundred ms, and one that goes on in vain half a minute. */
  readonly hangsMs?: number
  /** Errors say where they are from, of which there are many: a fifth more CPU. */
  readonly stacks?: boolean
}

const HANGS_MS = 120_000

const FILE = new URL('worker.ts', import.meta.url)

export function openWorker(options: WorkerOptions, { hangsMs = HANGS_MS, stacks = false }: OpenOptions = {}): Worker {
  // Little lives longer than a seed.
  const faster = ['--max-semi-space-size=64', ...(stacks ? [] : ['--stack-trace-limit=0'])]
  let child: ChildProcess | undefined
  let hear: (message: Report | typeof READY) => void = () => {}
  let fail: (error: Error) => void = () => {}
  let end = () => {}
  const begin = () => {
    const begun = fork(FILE, [JSON.stringify(options)], { execArgv: ['--no-warnings', ...faster] })
    begun.on('message', message => {
      if (child === begun) hear(message as Report | typeof READY)
    })
    begun.on('exit', code => {
      if (child !== begun) return
      child = undefined
      fail(new Error(`a worker process ended with ${code}`))
    })
    return begun
  }
  const stop = () => {
    end()
    child?.kill()
    child = undefined
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
        ;[fail, end] = [reject, resolve]
        hear = message => {
          seconds = 0
          if (message === READY) return
          left.shift()
          onReport(message)
          if (left.length === 0) resolve()
        }
        child ??= begin()
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
