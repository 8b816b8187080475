import { parentPort, workerData } from 'node:worker_threads'
import { dice } from '../../runtime/sim/random.ts'
import { TARGETS } from './targets.ts'

export interface Work {
  readonly target: string
  readonly from: number
  readonly inputs: number
  /** One number: the input that is being tried. */
  readonly at: SharedArrayBuffer
}

export interface Done {
  readonly taken: number
  readonly refused: number
  /** Of the one that took longest. */
  readonly slowestMs: number
  readonly slowest: number
  /** The first that was neither. */
  readonly failed?: { readonly input: number; readonly error: string }
}

/** Of CPU: an input has some kilobytes, and takes about a millisecond. How long the machine lets it wait is no matter; one that waits for ever hangs (fuzz.ts). */
const INPUT_MS_MAX = 5_000

const { target: name, from, inputs, at } = workerData as Work
const target = TARGETS.find(t => t.name === name)!
const current = new Uint32Array(at)

async function work(): Promise<Done> {
  const done = { taken: 0, refused: 0, slowestMs: 0, slowest: from }
  for (let input = from; input < from + inputs; input++) {
    current[0] = input
    const began = process.threadCpuUsage()
    try {
      const answer = target.once(dice(input))
      const isTaken = typeof answer === 'boolean' ? answer : await answer
      done[isTaken ? 'taken' : 'refused']++
    } catch (error) {
      return { ...done, failed: { input, error: (error as Error).stack ?? String(error) } }
    }
    const { user, system } = process.threadCpuUsage(began)
    const ms = (user + system) / 1000
    if (ms > done.slowestMs) Object.assign(done, { slowestMs: ms, slowest: input })
    if (ms > INPUT_MS_MAX) return { ...done, failed: { input, error: `it took ${Math.round(ms)} ms` } }
  }
  return done
}

parentPort!.postMessage(await work())
