import type { Blobs } from '../ports.ts'
import { ConnectorError } from './error.ts'

/** `<version>-<attempt>` of a commit that staged something; '': none has. */
export type StagedName = string

/** What was committed last of one subtask. */
interface Committed {
  readonly checkpoint: number
  readonly last: StagedName
}

const DIGITS = 12
/** Of one object that readers see; what a checkpoint adds beyond that goes into a second one. */
const OBJECT_BYTES_MAX = 64 << 20
const SUBTASKS_AT_ONCE = 4
const READS_AT_ONCE = 8

/**
 * What the subtasks of one sink have staged, and how it becomes visible.
 *
 * A staged object's key names its own commit and the one before it that staged something, so that the chain from a cut back to what was committed last is known from one
 * listing, and objects of attempts that lost are in no chain. How far a subtask is committed is an empty object whose key says it: written
 * after what it stands for and never overwritten (the newest counts), so a repeated commit finds the same to do, or nothing, and one that comes too late nothing.
 */
export class BlobStaging {
  private readonly blobs: Blobs
  private readonly name: string
  private readonly where: string

  constructor(blobs: Blobs, name: string, where: string) {
    this.blobs = blobs
    this.name = name
    this.where = where
  }

  async stage(
    run: string,
    subtask: number,
    version: number,
    attempt: string,
    last: StagedName,
    bytes: Uint8Array,
  ): Promise<StagedName> {
    const name = `${version}-${attempt}`
    await this.blobs.put(`${this.stagedOf(run, subtask)}${name}~${last}`, bytes)
    return name
  }

  /** Makes visible what was staged up to `lasts`, by subtask. Idempotent. */
  async commit(run: string, checkpoint: number, lasts: readonly StagedName[]): Promise<void> {
    const subtasks = lasts.map((last, subtask) => ({ last, subtask })).filter(({ last }) => last !== '')
    for (let i = 0; i < subtasks.length; i += SUBTASKS_AT_ONCE)
      await Promise.all(
        subtasks.slice(i, i + SUBTASKS_AT_ONCE).map(({ last, subtask }) => this.commitSubtask(run, checkpoint, subtask, last)),
      )
  }

  /** The run has ended at a checkpoint: what was staged for it becomes visible, what became visible later goes. A run that wrote elsewhere is left alone. */
  async endAt(run: string, checkpoint: number, lasts: readonly StagedName[]): Promise<void> {
    const visible = await this.blobs.list(this.visibleOf(run))
    const staged = await this.blobs.list(this.stagingOf(run))
    if (visible.length === 0 && staged.length === 0) return
    await this.commit(run, checkpoint, lasts)
    const prefix = `${this.visibleOf(run)}checkpoint-`
    for (const key of visible)
      if (Number(key.slice(prefix.length, prefix.length + DIGITS)) > checkpoint) await this.blobs.delete(key)
    // How far it was committed stays: this may be called again.
    for (const key of await this.blobs.list(this.stagingOf(run))) if (key.includes('/staged/')) await this.blobs.delete(key)
  }

  private async commitSubtask(run: string, checkpoint: number, subtask: number, last: StagedName): Promise<void> {
    const staged = await this.blobs.list(this.stagedOf(run, subtask))
    const done = await this.committed(run, subtask)
    if (done.checkpoint < checkpoint && done.last !== last) {
      const chain = this.chain(staged, run, subtask, done.last, last)
      if (chain === undefined) {
        // Another call of this commit, or a later one, may have been faster.
        if ((await this.committed(run, subtask)).checkpoint >= checkpoint) return
        throw new ConnectorError(
          `${this.where} lacks some of what it had staged in ${this.stagedOf(run, subtask)}: it was removed, and the output can't be completed. Start from an earlier checkpoint`,
        )
      }
      await this.publish(run, checkpoint, subtask, chain)
      await this.blobs.put(`${this.committedOf(run, subtask)}${digits(checkpoint)}~${last}`, new Uint8Array())
    }
    for (const key of staged) if (versionOf(nameOf(key)) <= versionOf(last)) await this.blobs.delete(key)
    const marks = await this.blobs.list(this.committedOf(run, subtask))
    for (const key of marks.slice(0, -1)) await this.blobs.delete(key)
  }

  /** Keys of what was staged behind `from` up to `to`, in order; undefined: some of it is gone. */
  private chain(staged: readonly string[], run: string, subtask: number, from: StagedName, to: StagedName): string[] | undefined {
    const prefix = this.stagedOf(run, subtask)
    const before = new Map(staged.map(key => [nameOf(key), key.slice(key.lastIndexOf('~') + 1)]))
    const chain: string[] = []
    for (let name = to; name !== from; ) {
      const previous = before.get(name)
      if (previous === undefined) return undefined
      chain.push(`${prefix}${name}~${previous}`)
      name = previous
    }
    return chain.reverse()
  }

  private async publish(run: string, checkpoint: number, subtask: number, chain: readonly string[]): Promise<void> {
    const target = `${this.visibleOf(run)}checkpoint-${digits(checkpoint)}-subtask-${subtask}`
    let bodies: Uint8Array[] = []
    let bytes = 0
    let objects = 0
    const put = async () => {
      objects++
      await this.blobs.put(`${target}${objects === 1 ? '' : `-${objects}`}.ndjson`, Buffer.concat(bodies))
      bodies = []
      bytes = 0
    }
    for (let i = 0; i < chain.length; i += READS_AT_ONCE) {
      const read = await Promise.all(chain.slice(i, i + READS_AT_ONCE).map(key => this.blobs.get(key)))
      for (const body of read) {
        if (body === undefined)
          throw new ConnectorError(`${this.where} lost what it had staged while it was committed: try again`)
        if (bytes > 0 && bytes + body.length > OBJECT_BYTES_MAX) await put()
        bodies.push(body)
        bytes += body.length
      }
    }
    if (bytes > 0) await put()
  }

  private async committed(run: string, subtask: number): Promise<Committed> {
    const prefix = this.committedOf(run, subtask)
    const newest = (await this.blobs.list(prefix)).at(-1)
    if (newest === undefined) return { checkpoint: 0, last: '' }
    const at = newest.lastIndexOf('~')
    return { checkpoint: Number(newest.slice(prefix.length, at)), last: newest.slice(at + 1) }
  }

  private stagingOf(run: string): string {
    return `_staging/${this.name}/run=${run}/`
  }

  private stagedOf(run: string, subtask: number): string {
    return `${this.stagingOf(run)}${subtask}/staged/`
  }

  private committedOf(run: string, subtask: number): string {
    return `${this.stagingOf(run)}${subtask}/committed/`
  }

  private visibleOf(run: string): string {
    return `${this.name}/run=${run}/`
  }
}

/** Fixed width, so that names are in order. */
function digits(checkpoint: number): string {
  return String(checkpoint).padStart(DIGITS, '0')
}

function nameOf(key: string): StagedName {
  return key.slice(key.lastIndexOf('/') + 1, key.lastIndexOf('~'))
}

function versionOf(name: StagedName): number {
  return Number.parseInt(name, 10)
}
