import type { Blobs } from '../ports.ts'
import { atOnce } from './at-once.ts'
import type { CommitIdentity } from './sink.ts'
import { type Staged, StagedChain, type StagedName } from './staged-chain.ts'

const DIGITS = 12
/** Of one object that readers see; what a checkpoint adds beyond that goes into a second one. */
const OBJECT_BYTES_MAX = 64 << 20
const SUBTASKS_AT_ONCE = 4

/**
 * What the subtasks of one sink have staged (staged-chain.ts), and how it becomes visible as objects of each checkpoint.
 *
 * Which checkpoint's object it belongs to is part of what is staged. So it does not matter whose commit makes it visible: that of n, which may be interrupted, or that of a later
 * one. And all that came behind checkpoint n can be taken away by name.
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
    { run, subtask, version, attempt, checkpoint }: CommitIdentity,
    last: StagedName,
    bytes: Uint8Array,
  ): Promise<StagedName> {
    return this.chain(run, subtask).stage(version, `${attempt}@${checkpoint}`, last, bytes)
  }

  /** Makes visible what was staged up to `lasts`, by subtask: where their cuts of a complete checkpoint are. Idempotent. */
  async commit(run: string, lasts: readonly StagedName[]): Promise<void> {
    await atOnce(SUBTASKS_AT_ONCE, [...lasts.entries()], async ([subtask, last]) => {
      const chain = this.chain(run, subtask)
      await chain.publish(last, staged => this.show(chain, staged, run, subtask))
    })
  }

  /**
   * Another run starts from a checkpoint of this one: what was staged for it becomes visible, and what became visible later goes, unless that run is a `fork`. A run that wrote elsewhere is left
   * alone.
   */
  async restore(run: string, checkpoint: number, lasts: readonly StagedName[], fork: boolean): Promise<void> {
    const visible = await this.blobs.list(this.visibleOf(run))
    if (visible.length === 0 && (await this.blobs.list(this.stagingOf(run))).length === 0) return
    await this.commit(run, lasts)
    if (fork) return
    const prefix = `${this.visibleOf(run)}checkpoint-`
    for (const key of visible)
      if (Number(key.slice(prefix.length, prefix.length + DIGITS)) > checkpoint) await this.blobs.delete(key)
    for (const subtask of lasts.keys()) await this.chain(run, subtask).drop()
  }

  private async show(chain: StagedChain, staged: readonly Staged[], run: string, subtask: number): Promise<void> {
    let bodies: Uint8Array[] = []
    let size = 0
    let checkpoint = 0
    let objects = 0
    const put = async () => {
      if (size === 0) return
      objects++
      const object = `checkpoint-${digits(checkpoint)}-subtask-${subtask}${objects === 1 ? '' : `-${objects}`}.ndjson`
      await this.blobs.put(this.visibleOf(run) + object, Buffer.concat(bodies))
      bodies = []
      size = 0
    }
    for await (const { staged: s, bytes } of chain.read(staged)) {
      const own = Number(s.name.slice(s.name.lastIndexOf('@') + 1))
      if (own !== checkpoint || size + bytes.length > OBJECT_BYTES_MAX) await put()
      if (own !== checkpoint) objects = 0
      checkpoint = own
      bodies.push(bytes)
      size += bytes.length
    }
    await put()
  }

  private chain(run: string, subtask: number): StagedChain {
    return new StagedChain(this.blobs, `${this.stagingOf(run)}${subtask}/`, this.where)
  }

  private stagingOf(run: string): string {
    return `_staging/${this.name}/run=${run}/`
  }

  private visibleOf(run: string): string {
    return `${this.name}/run=${run}/`
  }
}

/** Fixed width, so that names are in order. */
function digits(checkpoint: number): string {
  return String(checkpoint).padStart(DIGITS, '0')
}
