import { inWindows } from '../connectors/at-once.ts'
import type { Blobs } from '../ports.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { countChanges } from '../state/changelog.ts'
import type { LoggedChunk } from './fold.ts'

/** State changes of one interval between two checkpoints, as they were logged: chunks, one behind the other, which is a chunk again. */
export interface ChangesRef {
  readonly blob: string
  readonly bytes: number
  /** Changes in it; absent in manifests that are older than the field. */
  readonly count?: number
  /** Bytes of memory that the entries in these and all earlier changes take (waiting.ts), where they were counted. */
  readonly waiting?: number
}

export interface Gathered {
  readonly changes: Uint8Array
  readonly count: number
}

/** A read from S3 takes some 100 ms. All of them together are no more than is logged before it is folded. */
const READS_AT_ONCE = 16

/** All of them in one piece; undefined: they are more than `bytesMax`, or `countMax`. */
export async function gatherChanges(
  chunks: AsyncIterable<LoggedChunk>,
  bytesMax: number,
  countMax: number,
): Promise<Gathered | undefined> {
  const all: Uint8Array[] = []
  let bytes = 0
  let count = 0
  for await (const { chunk } of chunks) {
    bytes += chunk.length
    count += countChanges(chunk)
    if (bytes > bytesMax || count > countMax) return undefined
    all.push(chunk)
  }
  return { changes: Buffer.concat(all, bytes), count }
}

/** @throws SnapshotError a blob is gone, or is not what was written */
export async function* readChanges(blobs: Pick<Blobs, 'get'>, changes: readonly ChangesRef[]): AsyncGenerator<Uint8Array> {
  yield* inWindows(READS_AT_ONCE, changes, async ({ blob, bytes }) => {
    const found = await blobs.get(blob)
    if (found === undefined) throw new SnapshotError(`the changes ${blob} are gone, though the snapshot names them`)
    if (found.length !== bytes)
      throw new SnapshotError(`the changes ${blob} are damaged: there are ${found.length} of ${bytes} bytes`)
    return found
  })
}
