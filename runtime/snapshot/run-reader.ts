import { atOnce } from '../connectors/at-once.ts'
import type { RangedBlobs } from '../ports.ts'
import { keyHash, mayHave } from './filter.ts'
import type { SnapshotItem } from './item.ts'
import type { Runs, SegmentRef, SortedRun } from './runs.ts'
import type { SegmentCache } from './segment-cache.ts'
import type { SegmentIndex } from './segment-index.ts'

/** Reads under way at a time: of S3, each takes some 30 ms. */
const INDEXES_AT_ONCE = 32
const BLOCKS_AT_ONCE = 16

/** Items of sorted runs by their address, without reading the rest: runs whose filter knows nothing of it are left out, of the others one block is read. */
export class RunReader {
  private readonly runs: Runs
  private readonly blobs: Pick<RangedBlobs, 'getRange'>
  private readonly cache: SegmentCache

  constructor(runs: Runs, blobs: Pick<RangedBlobs, 'getRange'>, cache: SegmentCache) {
    this.runs = runs
    this.blobs = blobs
    this.cache = cache
  }

  /**
   * The newest item of each address, deleted ones included; undefined where there is none.
   * @throws SegmentGoneError, SnapshotError
   */
  async find(addresses: readonly string[]): Promise<(SnapshotItem | undefined)[]> {
    const found: (SnapshotItem | undefined)[] = new Array(addresses.length).fill(undefined)
    const hashes = addresses.map(address => keyHash(Buffer.from(address)))
    const indexes = await this.indexesOf(addresses)
    let left = [...addresses.keys()]
    for (let r = this.runs.length - 1; r >= 0 && left.length > 0; r--) {
      const reads = new Map<string, { ref: SegmentRef; block: number; wanted: number[] }>()
      for (const i of left) {
        const ref = segmentOf(this.runs[r]!, addresses[i]!)
        if (ref === undefined || !mayHave(indexes.get(ref)!.filter, hashes[i]!)) continue
        const block = blockOf(indexes.get(ref)!, addresses[i]!)
        const key = `${ref.blob}#${block}`
        const read = reads.get(key)
        if (read === undefined) reads.set(key, { ref, block, wanted: [i] })
        else read.wanted.push(i)
      }
      await atOnce(BLOCKS_AT_ONCE, [...reads.values()], async ({ ref, block, wanted }) => {
        const items = await this.cache.block(this.blobs, ref, indexes.get(ref)!, block)
        for (const i of wanted) found[i] = itemAt(items, addresses[i]!)
      })
      left = left.filter(i => found[i] === undefined)
    }
    return found
  }

  /**
   * The newest items with from <= address < to, all of which begin with `partition`, in order of address, at most `limit`, deleted ones included.
   * @throws SegmentGoneError, SnapshotError
   */
  async range(partition: string, from: string, to: string, limit: number): Promise<SnapshotItem[]> {
    const hash = keyHash(Buffer.from(partition))
    const cursors = this.runs.map(run => new RangeCursor(run, hash, from, to, this.blobs, this.cache))
    await Promise.all(cursors.map(c => c.advance()))
    const found: SnapshotItem[] = []
    while (found.length < limit) {
      let least: RangeCursor | undefined
      // From the newest to the oldest: of equal addresses the newest is found first, and kept.
      for (let i = cursors.length - 1; i >= 0; i--) {
        const c = cursors[i]!
        if (c.item !== undefined && (least === undefined || c.item.address < least.item!.address)) least = c
      }
      if (least === undefined) break
      const item = least.item!
      found.push(item)
      for (const c of cursors) {
        if (c.item?.address === item.address && !c.next()) await c.advance()
      }
    }
    return found
  }

  private async indexesOf(addresses: readonly string[]): Promise<Map<SegmentRef, SegmentIndex>> {
    const refs = new Set<SegmentRef>()
    for (const run of this.runs) {
      for (const address of addresses) {
        const ref = segmentOf(run, address)
        if (ref !== undefined) refs.add(ref)
      }
    }
    const indexes = new Map<SegmentRef, SegmentIndex>()
    await atOnce(INDEXES_AT_ONCE, [...refs], async ref => indexes.set(ref, await this.cache.index(this.blobs, ref)))
    return indexes
  }
}

/** A part of one run, in order. */
class RangeCursor {
  item: SnapshotItem | undefined
  private readonly run: SortedRun
  private readonly hash: ReturnType<typeof keyHash>
  private readonly to: string
  private readonly from: string
  private readonly blobs: Pick<RangedBlobs, 'getRange'>
  private readonly cache: SegmentCache
  private segment: number
  private block = -1
  private items: readonly SnapshotItem[] = []
  private at = 0

  constructor(
    run: SortedRun,
    hash: ReturnType<typeof keyHash>,
    from: string,
    to: string,
    blobs: Pick<RangedBlobs, 'getRange'>,
    cache: SegmentCache,
  ) {
    this.run = run
    this.hash = hash
    this.from = from
    this.to = to
    this.blobs = blobs
    this.cache = cache
    this.segment = Math.max(
      0,
      lastNotAbove(run.length, i => run[i]!.first!, from),
    )
  }

  /** The next item of the open block. False: there is none in it. */
  next(): boolean {
    if (++this.at < this.items.length) {
      this.item = this.within(this.items[this.at]!)
      return true
    }
    this.item = undefined
    return false
  }

  /** Opens the next block that has an item of the range. */
  async advance(): Promise<void> {
    this.item = undefined
    for (; this.segment < this.run.length; this.segment++, this.block = -1) {
      const ref = this.run[this.segment]!
      if (ref.first! >= this.to) return
      const index = await this.cache.index(this.blobs, ref)
      if (!mayHave(index.filter, this.hash)) continue
      this.block = this.block === -1 ? Math.max(0, blockOf(index, this.from)) : this.block + 1
      for (; this.block < index.blocks.length; this.block++) {
        if (index.blocks[this.block]!.first >= this.to) return
        this.items = await this.cache.block(this.blobs, ref, index, this.block)
        this.at = lastNotAbove(this.items.length, i => this.items[i]!.address, this.from)
        if (this.at === -1 || this.items[this.at]!.address < this.from) this.at++
        if (this.at === this.items.length) continue
        this.item = this.within(this.items[this.at]!)
        return
      }
    }
  }

  private within(item: SnapshotItem): SnapshotItem | undefined {
    return item.address < this.to ? item : undefined
  }
}

/** Which segment of a run has the address, if any has. */
function segmentOf(run: SortedRun, address: string): SegmentRef | undefined {
  return run[lastNotAbove(run.length, i => run[i]!.first!, address)]
}

/** Which block has the address, if any has; -1: it is in front of all. */
function blockOf({ blocks }: SegmentIndex, address: string): number {
  return lastNotAbove(blocks.length, i => blocks[i]!.first, address)
}

function itemAt(items: readonly SnapshotItem[], address: string): SnapshotItem | undefined {
  const item = items[lastNotAbove(items.length, i => items[i]!.address, address)]
  return item?.address === address ? item : undefined
}

/** Of `length` sorted addresses the place of the last that is not above `address`; -1: all are. */
function lastNotAbove(length: number, addressAt: (i: number) => string, address: string): number {
  let [low, high] = [0, length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (addressAt(middle) <= address) low = middle + 1
    else high = middle
  }
  return low - 1
}
