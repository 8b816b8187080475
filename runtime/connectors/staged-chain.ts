import type { Blobs } from '../ports.ts'
import { atOnce } from './at-once.ts'
import { ConnectorError } from './error.ts'

/** `<version>-<attempt>` of a commit that staged something; '': none has. */
export type StagedName = string

/** What one commit has staged. */
export interface Staged {
  readonly name: StagedName
  readonly key: string
}

/** Makes it visible, in this order. `passed`: what comes up to this one is out for good, and need not be published again. */
export type Publish = (staged: readonly Staged[], passed: (upTo: Staged) => Promise<void>) => Promise<void>

/** Something that was staged is not there (any more). */
class StagedLostError extends ConnectorError {}

const DIGITS = 16
const AT_ONCE = 8

/**
 * What one subtask of a sink has staged in one run, below `prefix`, and how far that is published.
 *
 * A staged object's key names its own commit and the one before it that staged something, so that the chain from a cut back to what was published last is known from one
 * listing, and objects of attempts that lost are in no chain. How far the subtask is published is an empty object whose key says it: written
 * after what it stands for and never overwritten (the newest counts), so a repeated publication finds the rest to do, or nothing, and one that comes too late nothing.
 */
export class StagedChain {
  private readonly blobs: Blobs
  private readonly prefix: string
  private readonly where: string

  /** `where`: for errors. */
  constructor(blobs: Blobs, prefix: string, where: string) {
    this.blobs = blobs
    this.prefix = prefix
    this.where = where
  }

  /** `last`: what the commit before, as far as it staged something, has staged. */
  async stage(version: number, attempt: string, last: StagedName, bytes: Uint8Array): Promise<StagedName> {
    const name = `${version}-${attempt}`
    await this.blobs.put(`${this.staged}${name}~${last}`, bytes)
    return name
  }

  /** Has published what was staged up to `to` and is not published yet, if there is any; deletes it then. Idempotent. */
  async publish(to: StagedName, publish: Publish): Promise<void> {
    if (to === '') return
    const keys = await this.blobs.list(this.staged)
    const done = await this.published()
    if (versionOf(done) < versionOf(to)) {
      try {
        await publish(this.chainOf(keys, done, to), staged => this.mark(staged.name))
      } catch (error) {
        // Another call of this, or a later one, may have been faster, and have tidied up.
        if (error instanceof StagedLostError && versionOf(await this.published()) >= versionOf(to)) return
        throw error
      }
      await this.mark(to)
    }
    await this.deleteAll(keys.filter(key => versionOf(nameOf(key)) <= versionOf(to)))
    const marks = await this.blobs.list(this.marks)
    await this.deleteAll(marks.slice(0, -1))
  }

  /** Their bytes, in order, some read ahead. */
  async *read(chain: readonly Staged[]): AsyncGenerator<{ staged: Staged; bytes: Uint8Array }> {
    for (let i = 0; i < chain.length; i += AT_ONCE) {
      const some = chain.slice(i, i + AT_ONCE)
      const bodies = await Promise.all(some.map(({ key }) => this.blobs.get(key)))
      for (const [j, staged] of some.entries()) {
        const bytes = bodies[j]
        if (bytes === undefined) throw this.lost(staged.name)
        yield { staged, bytes }
      }
    }
  }

  /** All that is staged and not published goes; how far it was published stays, since this may be called again. */
  async drop(): Promise<void> {
    await this.deleteAll(await this.blobs.list(this.staged))
  }

  /** What was staged behind `from` up to `to`, in order. */
  private chainOf(keys: readonly string[], from: StagedName, to: StagedName): Staged[] {
    const known = new Map(keys.map(key => [nameOf(key), key]))
    const chain: Staged[] = []
    for (let name = to; name !== from; ) {
      const key = known.get(name)
      if (key === undefined) throw this.lost(name)
      chain.push({ name, key })
      name = key.slice(key.lastIndexOf('~') + 1)
    }
    return chain.reverse()
  }

  private lost(name: StagedName): StagedLostError {
    return new StagedLostError(
      `${this.where} lacks some of what it had staged in ${this.staged}${name}: it was removed, and the output can't be completed. Start from an earlier checkpoint`,
    )
  }

  private async published(): Promise<StagedName> {
    const newest = (await this.blobs.list(this.marks)).at(-1)
    return newest === undefined ? '' : newest.slice(this.marks.length).replace(/^0*/, '')
  }

  /** Fixed width, so that marks are in order. */
  private async mark(name: StagedName): Promise<void> {
    const version = String(versionOf(name))
    await this.blobs.put(`${this.marks}${version.padStart(DIGITS, '0')}${name.slice(version.length)}`, new Uint8Array())
  }

  private async deleteAll(keys: readonly string[]): Promise<void> {
    await atOnce(AT_ONCE, keys, key => this.blobs.delete(key))
  }

  private get staged(): string {
    return `${this.prefix}staged/`
  }

  private get marks(): string {
    return `${this.prefix}published/`
  }
}

function nameOf(key: string): StagedName {
  return key.slice(key.lastIndexOf('/') + 1, key.lastIndexOf('~'))
}

/** 0 of what is not there. */
function versionOf(name: StagedName): number {
  return name === '' ? 0 : Number.parseInt(name, 10)
}
