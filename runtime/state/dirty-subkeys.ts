import type { KeyPart } from '../graph/key.ts'

/**
 * The subkeys of one map that were written since the last commit, in order of writing; each with whether there was none of it as of that commit, for certain.
 * Mostly there is one, which lies in the object itself: a Map for each key would be another five objects, and as many cache misses a record.
 */
export class DirtySubkeys {
  /** Some of them may have been deleted. */
  deletions = false
  private first: KeyPart | undefined
  private firstCreated = false
  /** Those behind the first. */
  private rest: Map<KeyPart, boolean> | undefined

  get size(): number {
    return (this.first === undefined ? 0 : 1) + (this.rest?.size ?? 0)
  }

  has(subkey: KeyPart): boolean {
    return this.first === subkey || this.rest?.has(subkey) === true
  }

  /** Of a subkey that is not there. */
  add(subkey: KeyPart, created: boolean): void {
    if (this.first === undefined && this.rest === undefined) {
      this.first = subkey
      this.firstCreated = created
    } else {
      this.rest ??= new Map()
      this.rest.set(subkey, created)
    }
  }

  delete(subkey: KeyPart): void {
    if (this.first === subkey) this.first = undefined
    else this.rest?.delete(subkey)
  }

  forEach(visit: (subkey: KeyPart, created: boolean) => void): void {
    if (this.first !== undefined) visit(this.first, this.firstCreated)
    if (this.rest !== undefined) for (const [subkey, created] of this.rest) visit(subkey, created)
  }

  clear(): void {
    this.first = undefined
    this.rest = undefined
    this.deletions = false
  }
}
