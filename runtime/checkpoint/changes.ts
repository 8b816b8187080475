import type { Blobs } from '../ports.ts'
import { SnapshotError } from '../snapshot/error.ts'
import type { LoggedChunk } from './fold.ts'

/** State changes of one interval between two checkpoints, as they were logged: chunks, one behind the other, which is a chunk again. */
export interface ChangesRef {
  readonly blob: string
  readonly bytes: number
}

/** All of them in one piece; undefined: they are more than `bytesMax`. */
export async function gatherChanges(chunks: AsyncIterable<LoggedChunk>, bytesMax: number): Promise<Uint8Array | undefined> {
  const all: Uint8Array[] = []
  let bytes = 0
  for await (const { chunk } of chunks) {
    bytes += chunk.length
    if (bytes > bytesMax) return undefined
    all.push(chunk)
  }
  return Buffer.concat(all, bytes)
}

/** @throws SnapshotError a blob is gone, or is not what was written */
export async function* readChanges(blobs: Pick<Blobs, 'get'>, changes: readonly ChangesRef[]): AsyncGenerator<Uint8Array> {
  for (const { blob, bytes } of changes) {
    const found = await blobs.get(blob)
    if (found === undefined) throw new SnapshotError(`the changes ${blob} are gone, though the snapshot names them`)
    if (found.length !== bytes)
      throw new SnapshotError(`the changes ${blob} are damaged: there are ${found.length} of ${bytes} bytes`)
    yield found
  }
}
