import { open } from 'node:fs/promises'
import type { Blobs, RangedBlobs } from '../../ports.ts'
import { SpillError } from '../error.ts'
import type { SpilledRuns } from '../merge.ts'
import type { RunFrame, SortedRun } from '../run-file.ts'
import type { RunReaders } from '../run-reader.ts'
import type { TaskResult } from '../task.ts'
import { readStored, type StoredFile, VolumeWriter } from './volumes.ts'

/** What is asked for at a time of one run, about; as much again is under way. */
const AHEAD_BYTES = 1 << 20

/** Where the lists of runs lie in the index: by consumer stage, then by its subtask. */
export type Sections = Readonly<Record<number, readonly (readonly [offset: number, length: number])[]>>

/** What a part of a task has spilled. Plain data. */
export interface StoredRuns {
  readonly runs: StoredFile
  readonly index: StoredFile
  readonly sections: Sections
}

/**
 * Keeps what a task has spilled: the frames of a run side by side, so that a consumer reads many of them at a time, and beside them an index, of which each consumer reads its own section.
 */
export async function storeRuns(
  blobs: Pick<Blobs, 'put'>,
  key: string,
  spill: string,
  outputs: TaskResult['outputs'],
): Promise<StoredRuns> {
  const file = await open(spill)
  const runs = new VolumeWriter(blobs, `${key}runs`)
  const index = new VolumeWriter(blobs, `${key}index`)
  const sections: Record<number, (readonly [number, number])[]> = {}
  const move = async ([offset, length, first]: RunFrame): Promise<RunFrame> => {
    const bytes = Buffer.allocUnsafeSlow(length)
    const { bytesRead } = await file.read(bytes, 0, length, offset)
    if (bytesRead < length) throw new SpillError(`${spill} has become shorter since it was written`)
    const at = runs.offset
    await runs.append(bytes)
    return [at, length, first]
  }
  try {
    for (const [consumer, partitions] of Object.entries(outputs)) {
      const own: (readonly [number, number])[] = []
      for (const partition of partitions) {
        const moved: SortedRun[] = []
        for (const run of partition) {
          const frames: RunFrame[] = []
          for (const frame of run.frames) frames.push(await move(frame))
          moved.push({ ...run, frames })
        }
        const section = Buffer.from(moved.length === 0 ? '' : JSON.stringify(moved))
        own.push([index.offset, section.length])
        await index.append(section)
      }
      sections[Number(consumer)] = own
    }
    return { runs: await runs.finish(), index: await index.finish(), sections }
  } finally {
    await file.close()
  }
}

/** What a part has for one subtask of a consumer; undefined: nothing. */
export async function runsFor(
  blobs: Pick<RangedBlobs, 'getRange'>,
  { runs, index, sections }: StoredRuns,
  stage: number,
  shard: number,
): Promise<SpilledRuns | undefined> {
  const [offset, length] = sections[stage]?.[shard] ?? [0, 0]
  if (length === 0) return undefined
  const section = await readStored(blobs, index.key, offset, length)
  return { path: runs.key, runs: JSON.parse(Buffer.from(section).toString()) }
}

interface Window {
  readonly from: number
  readonly to: number
  readonly bytes: Promise<Uint8Array>
}

/** Reads what was kept, some frames ahead. */
export function storedRuns(blobs: Pick<RangedBlobs, 'getRange'>): RunReaders {
  return {
    async open(key) {
      const windows = new Map<readonly RunFrame[], { now: Window; next: Window | undefined }>()
      /** Frames from `index` on that lie side by side. */
      const ask = (frames: readonly RunFrame[], index: number): Window | undefined => {
        if (index >= frames.length) return undefined
        const from = frames[index]![0]
        let to = from
        for (let i = index; i < frames.length && frames[i]![0] === to && to - from < AHEAD_BYTES; i++) to += frames[i]![1]
        const bytes = readStored(blobs, key, from, to - from)
        bytes.catch(() => {}) // told when it is awaited, if it ever is
        return { from, to, bytes }
      }
      const behind = (frames: readonly RunFrame[], { to }: Window, index: number) => {
        let next = index
        while (next < frames.length && frames[next]![0] < to) next++
        return ask(frames, next)
      }
      return {
        async read(frames, index) {
          const [offset, length] = frames[index]!
          let own = windows.get(frames)
          if (own === undefined || offset < own.now.from || offset >= own.now.to) {
            const next = own?.next
            const now = next !== undefined && offset >= next.from && offset < next.to ? next : ask(frames, index)!
            own = { now, next: behind(frames, now, index) }
            windows.set(frames, own)
          }
          const { from, bytes } = own.now
          if (index === frames.length - 1) windows.delete(frames)
          return (await bytes).subarray(offset - from, offset - from + length)
        },
        async close() {
          windows.clear()
        },
      }
    },
  }
}
