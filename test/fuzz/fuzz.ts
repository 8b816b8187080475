import { Worker } from 'node:worker_threads'
import type { Done, Work } from './worker.ts'

const FILE = new URL('worker.ts', import.meta.url)
/** One input takes well under a millisecond. */
const HANG_MS = 60_000

/**
 * Gives a target `inputs` inputs, numbered from `from` on; each number is one input, always. In a thread of its own, so that one that hangs is seen. Stops at the first failure.
 *
 * @example
 * await fuzz('frames', 0, 1_000_000)
 */
export function fuzz(target: string, from: number, inputs: number): Promise<Done> {
  const at = new SharedArrayBuffer(4)
  const current = new Uint32Array(at)
  const worker = new Worker(FILE, { workerData: { target, from, inputs, at } satisfies Work })
  return new Promise((resolve, reject) => {
    let last = -1
    const watch = setInterval(() => {
      if (current[0] === last)
        end({ taken: 0, refused: 0, failed: { input: last, error: `it hangs: no answer in ${HANG_MS / 1000} s` } })
      last = current[0]!
    }, HANG_MS)
    const end = (done: Done) => {
      clearInterval(watch)
      void worker.terminate()
      resolve(done)
    }
    worker.on('message', end)
    worker.on('error', error => {
      clearInterval(watch)
      reject(new Error(`input ${current[0]} of ${target} ended the thread: ${error}`, { cause: error }))
    })
  })
}
