import { closeSync, openSync, writeSync } from 'node:fs'
import { FrameWriter } from '../protocol/frame.ts'

/** Where one frame lies in its file. */
export type Extent = readonly [offset: number, length: number]

/** A frame in its file, and the event time of its first record. */
export type RunFrame = readonly [offset: number, length: number, first: number]

/** Records in order of event time, one frame behind the other. Of records of one time, the one that was written first comes first. */
export interface SortedRun {
  /** Event time of the first and of the last record, epoch ms. */
  readonly first: number
  readonly last: number
  readonly records: number
  readonly frames: readonly RunFrame[]
}

/** Raw bytes at which a frame is closed: a merge holds one of each run that it reads. */
const FRAME_BYTES = 128 * 1024

/** A file that frames are appended to. Written synchronously: who writes is in the middle of a record's way through the chain. */
export class RunFile {
  readonly path: string
  private readonly fd: number
  private offset = 0

  constructor(path: string) {
    this.path = path
    this.fd = openSync(path, 'w')
  }

  /** Bytes. */
  get size(): number {
    return this.offset
  }

  append(bytes: Uint8Array): Extent {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done)
    const extent = [this.offset, bytes.length] as const
    this.offset += bytes.length
    return extent
  }

  close(): void {
    closeSync(this.fd)
  }
}

/** Writes the records of one partition: as long as their times do not fall they make one run. */
export class RunWriter {
  readonly runs: SortedRun[] = []
  private written = 0
  private frameFirst = 0
  private readonly file: RunFile
  private readonly frames = new FrameWriter({ compression: false })
  private open: { first: number; last: number; records: number; frames: RunFrame[] } | undefined

  constructor(file: RunFile) {
    this.file = file
  }

  /** About how many so far, the frame that is open included. */
  get bytes(): number {
    return this.written + this.frames.approximateBytes
  }

  /** Event time of the record before; -Infinity: there is none. */
  get last(): number {
    return this.open?.last ?? Number.NEGATIVE_INFINITY
  }

  /** @throws FrameError for a value that can't be carried */
  add(edge: number, value: unknown, timestamp: number, key: unknown): void {
    if (this.open === undefined || timestamp < this.open.last) this.begin(timestamp)
    if (this.frames.count === 0) this.frameFirst = timestamp
    this.frames.record(edge, value, timestamp, key)
    this.open!.last = timestamp
    this.open!.records++
    if (this.frames.approximateBytes >= FRAME_BYTES) this.endFrame()
  }

  /** What was added is in the file. */
  endFrame(): void {
    if (this.frames.count === 0) return
    const [offset, length] = this.file.append(this.frames.finish(HEADER))
    this.written += length
    this.open!.frames.push([offset, length, this.frameFirst])
  }

  private begin(first: number): void {
    this.endFrame()
    this.open = { first, last: first, records: 0, frames: [] }
    this.runs.push(this.open)
  }
}

/** A run's frames belong to no channel: the index says where each is. */
export const HEADER = { run: '', producer: 0, version: 1, attempt: '', index: 1, predVersion: 0, predIndex: 0 }
