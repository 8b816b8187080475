import { rmdirSync } from 'node:fs'
import { type FileHandle, open, readdir, rm, stat, truncate } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ConnectorError } from './error.ts'
import { makeDirectory } from './make-directory.ts'
import type { StagedState } from './staging-writer.ts'

interface Segment {
  readonly file: string
  readonly run: string
  readonly subtask: number
  readonly segment: number
}

const COPY_BYTES = 1 << 20

/** By target: the run and sink that writes there. */
const writers = new Map<string, { readonly run: string; readonly operatorId: string }>()

/**
 * The segments beside one target file, and how they get into it.
 *
 * No journal: the target's right length is known from the parts. After the commit it holds every byte that the subtasks have staged up to their cuts
 * (their totals); before it, that minus what lies in segments now. Segments are appended in one fixed order and deleted in the same
 * one when the target is on disk, so a commit that was interrupted anywhere finds the rest of that order and redoes exactly it.
 */
export class Staging {
  private readonly target: string
  private readonly directory: string
  private readonly shown: string

  constructor(target: string, shown: string) {
    this.target = target
    this.directory = join(dirname(target), `.${basename(target)}.millrace`)
    this.shown = shown
  }

  /** Two sinks of one run can't share a target: each would stage over the other's lines. */
  claim(run: string, operatorId: string): void {
    const other = writers.get(this.target)
    if (other?.run === run && other.operatorId !== operatorId)
      throw new ConnectorError(
        `the file sink ${this.shown} is written by two sinks, '${other.operatorId}' and '${operatorId}': give each a file of its own, or union their streams`,
      )
    writers.set(this.target, { run, operatorId })
  }

  async openSegment(run: string, subtask: number, segment: number): Promise<FileHandle> {
    const path = join(this.directory, fileName(run, subtask, segment))
    for (let tries = 0; ; tries++) {
      // A commit may remove the empty directory between the two calls.
      makeDirectory(this.directory)
      try {
        return await open(path, 'r+').catch(() => open(path, 'w+'))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === 3) throw error
      }
    }
  }

  /** Cuts the subtask's segments down to what `state` says. */
  async rollBack(run: string, subtask: number, state: StagedState): Promise<void> {
    for (const s of await this.segments()) {
      if (s.run === run && s.subtask === subtask && s.segment > state.segment) await rm(s.file, { force: true })
    }
    if (state.length === 0) return
    const file = join(this.directory, fileName(run, subtask, state.segment))
    const size = await sizeOf(file)
    // Of a closed one, a commit may have taken everything already.
    if (size === undefined && state.closed) return
    if (size === undefined || size < state.length) throw this.lost(file, state.length, size ?? 0)
    if (size > state.length) await truncate(file, state.length)
  }

  async commit(run: string, parts: readonly (StagedState | undefined)[]): Promise<void> {
    const staged: { file: string; length: number }[] = []
    const strangers: string[] = []
    for (const s of await this.segments()) {
      const part = parts[s.subtask]
      if (s.run !== run) strangers.push(s.file)
      else if (part !== undefined && s.segment <= part.segment)
        staged.push({ file: s.file, length: await this.lengthOf(s, part) })
    }
    const after = parts.reduce((sum, part) => sum + (part?.total ?? 0), 0)
    const before = after - staged.reduce((sum, { length }) => sum + length, 0)
    await this.checkTarget(before)
    if (staged.length > 0 || after === 0) await this.append(staged, before)
    for (const { file } of staged) await rm(file, { force: true })
    // What a run left that died and was started afresh, not resumed.
    for (const file of strangers) await rm(file, { force: true })
    this.removeIfEmpty()
  }

  /**
   * The target as of a checkpoint of `run`, for a new run that starts there: what is staged for it is appended, what was committed later is cut off; a `fork` is refused where there is such.
   * Without the target the new run writes a file of its own. Gives the states that its subtasks, `parallelism` of them, go on with.
   */
  async restore(
    run: string,
    parts: readonly (StagedState | undefined)[],
    { parallelism, fork }: { readonly parallelism: number; readonly fork: boolean },
  ): Promise<readonly (StagedState | undefined)[]> {
    const ours = (await this.segments()).filter(s => s.run === run)
    const size = await sizeOf(this.target)
    if (ours.length === 0 && size === undefined) return []
    const total = parts.reduce((sum, part) => sum + (part?.total ?? 0), 0)
    const isBehind = ours.some(s => s.segment > (parts[s.subtask]?.segment ?? -1))
    if (fork && (isBehind || (size ?? 0) > total))
      throw new ConnectorError(
        `the file sink ${this.shown} holds more than the checkpoint that the fork starts from, and a fork takes nothing of the original's output away: give it a file of its own`,
      )
    await this.commit(run, parts)
    if (((await sizeOf(this.target)) ?? 0) > total) await truncate(this.target, total)
    // What the target has is what all of them have written together: one counts it for all.
    const segment = Math.max(0, ...parts.map(part => part?.segment ?? 0))
    return Array.from({ length: parallelism }, (_, i) => ({ segment, length: 0, total: i === 0 ? total : 0, closed: 1 }))
  }

  /** All segments, in the order in which they belong into the target. */
  private async segments(): Promise<Segment[]> {
    const names = await readdir(this.directory).catch(error => {
      if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code!)) return []
      throw error
    })
    const found: Segment[] = []
    for (const name of names) {
      const [, run, subtask, segment] = /^(.+)-(\d+)-(\d+)\.part$/.exec(name) ?? []
      if (run === undefined) continue
      found.push({
        file: join(this.directory, name),
        run: decodeURIComponent(run),
        subtask: Number(subtask),
        segment: Number(segment),
      })
    }
    return found.sort((a, b) => a.segment - b.segment || a.subtask - b.subtask)
  }

  private async lengthOf(segment: Segment, part: StagedState): Promise<number> {
    const size = (await sizeOf(segment.file)) ?? 0
    if (segment.segment < part.segment) return size
    if (size < part.length) throw this.lost(segment.file, part.length, size)
    return part.length
  }

  private async checkTarget(before: number): Promise<void> {
    const size = (await sizeOf(this.target)) ?? 0
    if (before < 0)
      throw new ConnectorError(
        `the file sink ${this.shown} finds more staged than was written, in ${this.directory}: remove what doesn't belong there`,
      )
    if (size < before)
      throw new ConnectorError(
        `the file sink ${this.shown} had committed ${before} bytes, but the file has only ${size}: it was moved or changed. Put it back, or start a run with a fresh state directory`,
      )
  }

  private async append(staged: readonly { file: string; length: number }[], before: number): Promise<void> {
    makeDirectory(dirname(this.target))
    const target = await open(this.target, 'r+').catch(() => open(this.target, 'w+'))
    try {
      await target.truncate(before)
      let position = before
      for (const { file, length } of staged) position = await copy(file, length, target, position)
      await target.sync()
    } finally {
      await target.close()
    }
  }

  private removeIfEmpty(): void {
    try {
      rmdirSync(this.directory)
    } catch {
      // Not empty: the next interval's segments are in it. Or never made.
    }
  }

  private lost(file: string, expected: number, size: number): ConnectorError {
    return new ConnectorError(
      `the file sink ${this.shown} had staged ${expected} bytes in ${file}, but ${size} are there: it was removed or changed, and the output can't be completed. Start a run with a fresh state directory`,
    )
  }
}

async function copy(file: string, length: number, target: FileHandle, position: number): Promise<number> {
  const source = await open(file)
  const buffer = Buffer.allocUnsafe(Math.min(COPY_BYTES, Math.max(length, 1)))
  let copied = 0
  try {
    while (copied < length) {
      const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, length - copied), copied)
      if (bytesRead === 0) throw new ConnectorError(`${file} became shorter while it was read`)
      for (let done = 0; done < bytesRead; )
        done += (await target.write(buffer, done, bytesRead - done, position + copied + done)).bytesWritten
      copied += bytesRead
    }
  } finally {
    await source.close()
  }
  return position + copied
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function fileName(run: string, subtask: number, segment: number): string {
  return `${encodeURIComponent(run)}-${subtask}-${segment}.part`
}
