import { closeSync, openSync, readSync } from 'node:fs'
import type { Sink } from '../connectors/sink.ts'
import { FrameError, FrameWriter, readFrame } from '../protocol/frame.ts'
import { SpillError } from './error.ts'
import { HEADER, RunFile } from './run-file.ts'

/** Results that are sent in one commit of the sink, about. */
const FRAME_BYTES = 128 * 1024
const LENGTH_BYTES = 4

/** One result, as its sink will be given it. */
export interface HeldRecord {
  readonly value: unknown
  readonly timestamp: number
  readonly key: unknown
}

/**
 * In the place of a sink that sends with each commit and can't stage: a task that dies is done again, so that what it sent would be sent twice. Its results wait in a file, and are sent
 * when they are all there, in commits that hold the same however often they are tried (send-held.ts).
 */
export function heldSink(pathOf: (subtask: number) => string, described: string): Sink<any> {
  return {
    kind: 'held',
    async open({ subtask, operatorId }) {
      const file = new RunFile(pathOf(subtask))
      const frames = new FrameWriter({ compression: false })
      const append = () => {
        if (frames.count === 0) return
        const frame = frames.finish(HEADER)
        const length = Buffer.alloc(LENGTH_BYTES)
        length.writeUInt32LE(frame.length)
        file.append(length)
        file.append(frame)
      }
      return {
        write(value, { timestamp, key }) {
          try {
            frames.record(0, value, timestamp, key)
          } catch (error) {
            if (!(error instanceof FrameError) || error.part === undefined) throw error
            throw new SpillError(
              `operator '${operatorId}' got a record whose ${error.part.path.replace(/^\$\.?/, '') || 'value'} is ${error.part.kind}: results of a backfill wait in a file, which holds plain data only`,
              { cause: error },
            )
          }
          if (frames.approximateBytes >= FRAME_BYTES) append()
        },
        async flush(_commit, cut) {
          if (cut !== undefined) append()
          return undefined
        },
        async close() {
          // A task that pauses has committed what it wrote. The file of one that failed is never read.
          append()
          file.close()
        },
      }
    },
    describe: () => described,
  }
}

/** The results of one task, commit by commit. */
export function* readHeld(path: string): Generator<HeldRecord[]> {
  const fd = openSync(path, 'r')
  try {
    for (;;) {
      const length = Buffer.alloc(LENGTH_BYTES)
      if (readSync(fd, length) === 0) return
      const frame = Buffer.alloc(length.readUInt32LE())
      if (readSync(fd, frame) < frame.length) throw new SpillError(`${path} has become shorter since it was written`)
      const records: HeldRecord[] = []
      const cursor = readFrame(frame).reader()
      while (cursor.next() >= 0) records.push({ value: cursor.value, timestamp: cursor.timestamp, key: cursor.key })
      yield records
    }
  } finally {
    closeSync(fd)
  }
}
