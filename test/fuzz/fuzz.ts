import { Worker } from 'node:worker_threads'
import type { Done, Work } from './worker.ts'

const FILE = new URL('worker.ts', import.meta.url)
const LOOK_MS = 1_000
/** No input takes that long. In looks, which a process that somebody stops for a while does not have. */
const HANG_LOOKS = 60
/** An input has some kilobytes: who takes much more for it would take all there is for a larger one. */
const HEAP_MB_MAX = 512

/** Told about once a second: inputs so far. */
export type OnProgress = (inputs: number) => void

/**
 * Gives a target `inputs` inputs, numbered from `from` on; each number is one input, always. In a thread of its own, with a memory of its own, so that one that hangs or takes all memory is seen. Stops at the first failure.
 *
 * @example
 * await fuzz('frames', 0, 1_000_000)
 */
export function fuzz(target: string, from: number, inputs: number, onProgress: OnProgress = () => {}): Promise<Done> {
  const at = new SharedArrayBuffer(4)
  const current = new Uint32Array(at)
  const workerData: Work = { target, from, inputs, at }
  const worker = new Worker(FILE, { workerData, resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX } })
  return new Promise(resolve => {
    let last = -1
    let looks = 0
    const failed = (error: string) =>
      end({ taken: 0, refused: 0, slowestMs: 0, slowest: from, failed: { input: current[0]!, error } })
    const watch = setInterval(() => {
      looks = current[0] === last ? looks + 1 : 0
      last = current[0]!
      onProgress(last - from)
      if (looks > HANG_LOOKS) failed(`it hangs: no answer in ${(HANG_LOOKS * LOOK_MS) / 1000} s`)
    }, LOOK_MS)
    const end = (done: Done) => {
      clearInterval(watch)
      void worker.terminate()
      resolve(done)
    }
    worker.on('message', end)
    worker.on('error', error => failed(`it ended the thread: ${error}`))
    worker.on('exit', code => failed(`it ended the thread with code ${code}`))
  })
}
