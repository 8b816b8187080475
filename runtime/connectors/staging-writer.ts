import type { FileHandle } from 'node:fs/promises'
import type { Staging } from './staging.ts'

/** How far one subtask has staged, as its commit item keeps it. */
export type StagedState = {
  /** The segment last written, and its bytes that count. */
  readonly segment: number
  readonly length: number
  /** Bytes staged by this subtask since the run began, in all segments. */
  readonly total: number
  /** 1: a checkpoint's cut ended the segment. */
  readonly closed: number
}

const NOTHING: StagedState = { segment: 0, length: 0, total: 0, closed: 1 }

/**
 * Appends what one subtask writes to its current segment: a file for what lies between two cuts. A segment is numbered by the checkpoint it
 * is expected to go with, so that the segments of all subtasks have one order.
 */
export class StagingWriter {
  private readonly staging: Staging
  private readonly run: string
  private readonly subtask: number
  private state = NOTHING
  private next = 1
  /** As they were before the last flush: a commit that is tried again takes its flush back. */
  private before: { version: number; state: StagedState; next: number } | undefined
  private file: { segment: number; handle: FileHandle } | undefined

  constructor(staging: Staging, run: string, subtask: number) {
    this.staging = staging
    this.run = run
    this.subtask = subtask
  }

  /** Drops what was staged behind the last commit: its attempts were lost. */
  async restore(state: StagedState | undefined): Promise<void> {
    this.state = state ?? NOTHING
    this.next = this.state.segment + 1
    await this.staging.rollBack(this.run, this.subtask, this.state)
  }

  /** Stages `bytes`, at a checkpoint's cut as the last of their segment. */
  async append(version: number, bytes: Buffer[], cut: number | undefined): Promise<StagedState> {
    if (this.before?.version === version) await this.takeBack()
    this.before = { version, state: this.state, next: this.next }
    const { segment, length, total, closed } = this.state
    const size = bytes.reduce((sum, chunk) => sum + chunk.length, 0)
    if (size === 0) this.state = { segment, length, total, closed: cut === undefined ? closed : 1 }
    else {
      const [target, from] = closed ? [this.next, 0] : [segment, length]
      const handle = await this.open(target)
      await writeAll(handle, bytes, from)
      this.state = { segment: target, length: from + size, total: total + size, closed: cut === undefined ? 0 : 1 }
    }
    if (cut !== undefined) await this.endSegment(cut)
    return this.state
  }

  async close(): Promise<void> {
    const file = this.file
    this.file = undefined
    await file?.handle.close()
  }

  private async endSegment(cut: number): Promise<void> {
    await this.file?.handle.datasync()
    await this.close()
    this.next = Math.max(cut, this.state.segment) + 1
  }

  private async takeBack(): Promise<void> {
    await this.close()
    this.state = this.before!.state
    this.next = this.before!.next
    await this.staging.rollBack(this.run, this.subtask, this.state)
  }

  private async open(segment: number): Promise<FileHandle> {
    if (this.file?.segment !== segment) {
      await this.close()
      this.file = { segment, handle: await this.staging.openSegment(this.run, this.subtask, segment) }
    }
    return this.file!.handle
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer[], from: number): Promise<void> {
  let position = from
  for (const chunk of bytes) {
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position)
      done += bytesWritten
      position += bytesWritten
    }
  }
}
