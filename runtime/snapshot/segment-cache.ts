import { MillraceError } from '../errors.ts'
import type { RangedBlobs } from '../ports.ts'
import { SnapshotError } from './error.ts'
import type { SnapshotItem } from './item.ts'
import type { SegmentRef } from './runs.ts'
import type { SegmentIndex } from './segment-index.ts'

/** A segment is not there any more: retention has taken it away, as a newer base does without it. */
export class SegmentGoneError extends MillraceError {
  override readonly name = 'SegmentGoneError'
}

/** Bytes that may be forgotten at any time: of a disk, say. What they hold has checksums, so that what comes back may be damaged. */
export interface CacheDisk {
  get(name: string): Promise<Uint8Array | undefined>
  put(name: string, bytes: Uint8Array): Promise<void>
}

export interface SegmentCacheOptions {
  /** Of V8 heap, about. */
  readonly bytesMax: number
  /** Behind the memory. */
  readonly disk?: CacheDisk
}

/** About what an item takes in memory beside its bytes: the object, the string of its address, the view of its value. */
const ITEM_BYTES = 250

/** Most runs have their state in a table, and no use for them. */
const decoders = () => import('./segment-index.ts')

interface Held {
  readonly value: unknown
  readonly bytes: number
}

/**
 * Indexes and blocks of segments, those last used in memory, and more on a disk. Segments never change and their names are never used again, so that nothing here
 * can be out of date. One for all subtasks of a process.
 */
export class SegmentCache {
  private readonly bytesMax: number
  private readonly disk: CacheDisk | undefined
  /** In order of use, the longest unused first. */
  private readonly held = new Map<string, Held>()
  private bytes = 0
  private readonly loading = new Map<string, Promise<unknown>>()

  constructor({ bytesMax, disk }: SegmentCacheOptions) {
    this.bytesMax = bytesMax
    this.disk = disk
  }

  /**
   * @throws SegmentGoneError
   * @throws SnapshotError it is damaged
   */
  index(blobs: Pick<RangedBlobs, 'getRange'>, ref: SegmentRef): Promise<SegmentIndex> {
    const { blob, index, bytes } = ref
    if (index === undefined) throw new SnapshotError(`segment ${blob} has no index: it is of an older format`)
    return this.cached(`${blob}#index`, async () => {
      const { decodeIndex } = await decoders()
      const take = (stored: Uint8Array) => decodeIndex(stored, blob)
      const value = await this.fetch(blobs, blob, 'index', [index, bytes], take)
      return { value, bytes: value.filter.length + value.blocks.length * 200 }
    })
  }

  /** The items of block `n`, in order of address; throws as `index` does. */
  block(
    blobs: Pick<RangedBlobs, 'getRange'>,
    { blob }: SegmentRef,
    { blocks }: SegmentIndex,
    n: number,
  ): Promise<readonly SnapshotItem[]> {
    const block = blocks[n]!
    return this.cached(`${blob}#${n}`, async () => {
      const { readBlock } = await decoders()
      const place = [block.offset, block.offset + block.bytes] as const
      const take = (stored: Uint8Array) => [...readBlock(stored, block, blob)]
      const value = await this.fetch(blobs, blob, n, place, take)
      return { value, bytes: block.rawBytes + block.items * ITEM_BYTES }
    })
  }

  private async cached<T>(key: string, load: () => Promise<{ value: T; bytes: number }>): Promise<T> {
    const held = this.held.get(key)
    if (held !== undefined) {
      this.held.delete(key)
      this.held.set(key, held)
      return held.value as T
    }
    const underWay = this.loading.get(key)
    if (underWay !== undefined) return underWay as Promise<T>
    const loading = load()
      .then(loaded => {
        this.hold(key, loaded)
        return loaded.value
      })
      .finally(() => this.loading.delete(key))
    this.loading.set(key, loading)
    return loading
  }

  private hold(key: string, loaded: Held): void {
    this.held.set(key, loaded)
    this.bytes += loaded.bytes
    for (const [oldest, { bytes }] of this.held) {
      if (this.bytes <= this.bytesMax) return
      this.held.delete(oldest)
      this.bytes -= bytes
    }
  }

  private async fetch<T>(
    blobs: Pick<RangedBlobs, 'getRange'>,
    blob: string,
    part: 'index' | number,
    [from, to]: readonly [number, number],
    take: (stored: Uint8Array) => T,
  ): Promise<T> {
    const name = `${blob}#${part}`
    const kept = await this.disk?.get(name)
    if (kept !== undefined) {
      try {
        return take(kept)
      } catch (error) {
        if (!(error instanceof SnapshotError)) throw error
      }
    }
    const stored = await blobs.getRange(blob, from, to)
    if (stored === undefined) throw new SegmentGoneError(`segment ${blob} is gone`)
    const value = take(stored)
    await this.disk?.put(name, stored)
    return value
  }
}
