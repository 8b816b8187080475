import { rmSync } from 'node:fs'
import type { SourceBatch, SplitReader } from '../connectors/source.ts'
import type { OrderedRecords, Subtask } from '../stage/subtask.ts'
import type { Prepared } from './job.ts'
import { mergeRuns } from './merge.ts'
import { openPiece } from './piece-reader.ts'
import { RunFile } from './run-file.ts'
import type { PartOptions, Paused, Task, TaskPlace } from './task.ts'

/** Between two looks at how far a partition has been read. */
const PROGRESS_RECORDS = 1024

/** A task at work. */
export interface PartOfTask extends Required<Pick<PartOptions, 'onProgress'>>, Pick<PartOptions, 'signal' | 'pausing'> {
  readonly prepared: Prepared
  readonly task: Task
  readonly place: TaskPlace
  readonly subtask: Subtask
  readonly spill: RunFile
}

/** A source's piece, to its end or to where the task is to pause. */
export async function readPiece(part: PartOfTask): Promise<Paused | undefined> {
  const { subtask, prepared, onProgress, signal, pausing, spill } = part
  const { job, input } = prepared
  const piece = job.pieces[subtask.at.stage.source!.source!.name]![subtask.shard]!
  let bytes = 0
  const onRead = (read: number) => {
    bytes += read
  }
  const from = pausing?.from === undefined || !('records' in pausing.from) ? 0 : pausing.from.records
  const reader = behind(await openPiece(piece, onRead, input), from)
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = job
  const wants = (timestamp: number) => timestamp >= since && timestamp < until
  let taken = from
  try {
    for (;;) {
      signal?.throwIfAborted()
      await subtask.deliverSource(async () => {
        const batch = await reader.read()
        taken += batch.records.length
        return { ...batch, wants, part: SILENT }
      })
      const { working } = subtask.current!
      onProgress(bytes / piece.bytes, working.counts.recordsIn)
      if (working.sourceDone) return undefined
      if (pausing?.isDue(spill.size)) return { records: taken }
    }
  } finally {
    await reader.close()
  }
}

/** What a reader gives behind its first `skipped` records. */
function behind(reader: SplitReader, skipped: number): { read(): Promise<SourceBatch>; close(): Promise<void> } {
  let left = skipped
  return {
    async read() {
      for (;;) {
        const batch = await reader.read(undefined, Number.POSITIVE_INFINITY)
        const skip = Math.min(left, batch.records.length)
        left -= skip
        if (skip === 0) return batch
        if (skip < batch.records.length || batch.done)
          return { ...batch, records: batch.records.slice(skip), after: i => batch.after(i + skip) }
      }
    },
    close: () => reader.close(),
  }
}

/** Records are put into order behind the source: until the end of the piece nothing is known of the time. */
const SILENT = { name: '', watermark: () => Number.NEGATIVE_INFINITY }

/** What the stages before have for a task, in order of event time, to the end or to where it is to pause. */
export async function readPartition({
  prepared,
  subtask,
  task,
  place,
  spill,
  onProgress,
  signal,
  pausing,
}: PartOfTask): Promise<Paused | undefined> {
  const { job } = prepared
  let merges = 0
  const scratch = () => new RunFile(`${place.spill}.merge-${merges++}`)
  const from = pausing?.from === undefined || !('after' in pausing.from) ? Number.NEGATIVE_INFINITY : pausing.from.after
  const merged = await mergeRuns(task.inputs, scratch, place.runs, from)
  const end = job.thenLive ? job.until! - 1 : Number.POSITIVE_INFINITY
  let read = 0
  let upTo = end
  let isDue = false
  let last = from
  let paused: Paused | undefined
  const counted: OrderedRecords = {
    next: () => {
      if (paused !== undefined || !merged.next()) return false
      // Records of one time are taken together: the time says where to go on.
      if (isDue && merged.timestamp > last) {
        paused = { after: last }
        upTo = Math.min(end, merged.timestamp - 1)
        return false
      }
      last = merged.timestamp
      if (++read % PROGRESS_RECORDS > 0) return true
      signal?.throwIfAborted()
      isDue = pausing?.isDue(spill.size) ?? false
      onProgress(read / merged.records, read)
      return true
    },
    load: async () => paused === undefined && merged.load(),
    get upTo() {
      return upTo
    },
    get edge() {
      return merged.edge
    },
    get value() {
      return merged.value
    },
    get timestamp() {
      return merged.timestamp
    },
    get key() {
      return merged.key
    },
  }
  try {
    await subtask.deliverOrdered(counted)
    return paused
  } finally {
    await merged.close()
    for (let i = 0; i < merges; i++) rmSync(`${place.spill}.merge-${i}`, { force: true })
  }
}
