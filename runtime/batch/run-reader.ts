import { open } from 'node:fs/promises'
import { fileReason } from '../connectors/error.ts'
import { SpillError } from './error.ts'
import type { RunFrame } from './run-file.ts'

/** A file of runs that is open. */
export interface RunReader {
  /** Frame `index` of a run: those of one run are asked for one after the other. */
  read(frames: readonly RunFrame[], index: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** Where runs that were spilled are read. */
export interface RunReaders {
  /** @throws SpillError when it is gone */
  open(path: string): Promise<RunReader>
}

/** Files of this machine. */
export const localRuns: RunReaders = {
  async open(path) {
    const file = await open(path).catch(error => lost(path, error))
    return {
      async read(frames, index) {
        const [offset, length] = frames[index]!
        const bytes = Buffer.allocUnsafe(length)
        const { bytesRead } = await file.read(bytes, 0, length, offset)
        return bytesRead < length ? lost(path, 'it has become shorter') : bytes
      },
      close: () => file.close(),
    }
  },
}

function lost(path: string, error: unknown): never {
  throw new SpillError(
    `${path}, which an earlier stage of this run has written, can't be read: ${typeof error === 'string' ? error : fileReason(error)}. Start again with an empty state directory`,
    { cause: error },
  )
}
