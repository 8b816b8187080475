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
  /** The first that was neither. */
  readonly failed?: { readonly input: number; readonly error: string }
}

const { target: name, from, inputs, at } = workerData as Work
const target = TARGETS.find(t => t.name === name)!
const current = new Uint32Array(at)
let taken = 0
let refused = 0

function work(): Done {
  for (let input = from; input < from + inputs; input++) {
    current[0] = input
    try {
      if (target.once(dice(input))) taken++
      else refused++
    } catch (error) {
      return { taken, refused, failed: { input, error: (error as Error).stack ?? String(error) } }
    }
  }
  return { taken, refused }
}

parentPort!.postMessage(work())
