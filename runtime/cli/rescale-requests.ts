import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Rescaled } from '../embedded/rescaled.ts'
import type { RunningJob } from '../embedded/run-options.ts'

/** What one process asks another one for that works on the same state directory: a file for the request, one for its answer. */
export interface RescaleRequest {
  readonly id: string
  readonly parallelism: number
}

export type RescaleAnswer = { readonly id: string } & ({ readonly rescaled: Rescaled } | { readonly refused: string })

const REQUEST = 'rescale.json'
const ANSWER = 'rescaled.json'
const LOOK_MS = 200

export function ask(state: string, request: RescaleRequest): void {
  write(join(state, REQUEST), request)
}

/** Takes the request back, if nobody has taken it up yet. */
export function withdraw(state: string): boolean {
  const taken = read<RescaleRequest>(join(state, REQUEST)) === undefined
  rmSync(join(state, REQUEST), { force: true })
  return !taken
}

export function answerTo(state: string, { id }: RescaleRequest): RescaleAnswer | undefined {
  const answer = read<RescaleAnswer>(join(state, ANSWER))
  if (answer?.id !== id) return undefined
  rmSync(join(state, ANSWER), { force: true })
  return answer
}

/** Looks for requests while a run works on the directory. Gives what ends that. */
export function serveRequests(state: string, job: RunningJob): () => void {
  // Of a process that has died: nobody waits for it any more.
  for (const file of [REQUEST, ANSWER]) rmSync(join(state, file), { force: true })
  const timer = setInterval(() => {
    const request = read<RescaleRequest>(join(state, REQUEST))
    if (request === undefined) return
    rmSync(join(state, REQUEST), { force: true })
    job.rescale(request.parallelism).then(
      rescaled => write(join(state, ANSWER), { id: request.id, rescaled } satisfies RescaleAnswer),
      (error: Error) => write(join(state, ANSWER), { id: request.id, refused: error.message } satisfies RescaleAnswer),
    )
  }, LOOK_MS)
  return () => clearInterval(timer)
}

function write(path: string, value: unknown): void {
  writeFileSync(`${path}.part`, JSON.stringify(value))
  renameSync(`${path}.part`, path)
}

function read<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
