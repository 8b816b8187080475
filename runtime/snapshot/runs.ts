import type { Blobs, Random } from '../ports.ts'
import { SnapshotError } from './error.ts'
import type { SnapshotItem } from './item.ts'
import { readSegment, SegmentWriter } from './segment.ts'

/** One immutable segment file. */
export interface SegmentRef {
  readonly blob: string
  readonly items: number
  /** As stored. */
  readonly bytes: number
  /** The address of its first item. Absent: it has no index. */
  readonly first?: string
  /** Where its index begins, which goes to its end. */
  readonly index?: number
}

/** Where runs are written, and those read that are merged. */
export interface RunPorts {
  readonly blobs: Pick<Blobs, 'get' | 'put'>
  readonly random: Random
}

/** Segments one behind the other in order of address, which do not overlap: read in a row they are one sorted list. */
export type SortedRun = readonly SegmentRef[]

/** A subtask's keyed state in a snapshot: sorted runs, oldest first. Of several items with one address, that of the newest run counts. */
export type Runs = readonly SortedRun[]

/** Raw bytes at which a segment is complete: what a merge holds of each run in memory. */
const SEGMENT_BYTES = 2 * 1024 * 1024
/** Of a merge, looked at together. */
const PIECE_ITEMS = 1000
/** So many runs of about one size are merged into one of the next size. */
const MERGE_RUNS = 8
const SMALLEST_TIER_BYTES = 128 * 1024
/** What is smaller may take as much room as it likes. */
const OVERLAID_BYTES_MIN = 128 * 1024

/** Writes sorted items as segments called `PREFIX-ID-0`, `-1`, … */
export class RunWriter {
  private readonly blobs: RunPorts['blobs']
  private readonly name: string
  private readonly writer = new SegmentWriter()
  private readonly done: SegmentRef[] = []

  constructor({ blobs, random }: RunPorts, prefix: string) {
    this.blobs = blobs
    this.name = `${prefix}-${random.id()}`
  }

  /** To be waited for where there is something to wait for: there is a promise for each segment, not for each item. */
  add(item: SnapshotItem): Promise<void> | undefined {
    this.writer.add(item)
    return this.writer.rawBytes >= SEGMENT_BYTES ? this.close() : undefined
  }

  async finish(): Promise<SortedRun> {
    if (this.writer.count > 0) await this.close()
    return this.done
  }

  private async close(): Promise<void> {
    const { bytes, ...rest } = this.writer.finish()
    const blob = `${this.name}-${this.done.length}`
    await this.blobs.put(blob, bytes)
    this.done.push({ blob, bytes: bytes.length, ...rest })
  }
}

/**
 * All runs merged, in order of address: the newest item of each address, deleted ones included.
 * Memory: one segment of each run.
 * @throws SnapshotError a segment is gone or damaged
 */
export async function* mergeRuns(blobs: Pick<Blobs, 'get'>, runs: Runs): AsyncGenerator<SnapshotItem> {
  for await (const items of mergedPieces(blobs, runs)) yield* items
}

/** The same, some at a time: a promise for each item would cost as much as all else. */
async function* mergedPieces(blobs: Pick<Blobs, 'get'>, runs: Runs): AsyncGenerator<readonly SnapshotItem[]> {
  const cursors = runs.map(run => new RunCursor(blobs, run))
  for (const c of cursors) await c.advance()
  let piece: SnapshotItem[] = []
  for (;;) {
    let least: RunCursor | undefined
    // From the newest to the oldest: of equal addresses the newest is found first, and kept.
    for (let i = cursors.length - 1; i >= 0; i--) {
      const c = cursors[i]!
      if (c.item !== undefined && (least === undefined || c.item.address < least.item!.address)) least = c
    }
    if (least === undefined) break
    const item = least.item!
    for (const c of cursors) {
      // A promise for each segment, not for each item.
      if (c.item?.address === item.address && c.next() === undefined) await c.advance()
    }
    piece.push(item)
    if (piece.length < PIECE_ITEMS) continue
    yield piece
    piece = []
  }
  yield piece
}

class RunCursor {
  item: SnapshotItem | undefined
  private readonly blobs: Pick<Blobs, 'get'>
  private readonly run: SortedRun
  private at = 0
  private items: Generator<SnapshotItem> | undefined

  constructor(blobs: Pick<Blobs, 'get'>, run: SortedRun) {
    this.blobs = blobs
    this.run = run
  }

  /** The next item of the open segment. */
  next(): SnapshotItem | undefined {
    const { value, done } = this.items!.next()
    this.item = done ? undefined : value
    return this.item
  }

  /** Opens the next segment that has an item. */
  async advance(): Promise<void> {
    while (this.at < this.run.length) {
      const { blob } = this.run[this.at++]!
      const bytes = await this.blobs.get(blob)
      if (bytes === undefined) throw new SnapshotError(`segment ${blob} is gone, though the snapshot names it`)
      this.items = readSegment(bytes, blob)
      if (this.next() !== undefined) return
    }
    this.item = undefined
  }
}

/** What is known of older items and of time when runs are merged. */
export interface MergeOptions {
  /** There is something older elsewhere, which deleted items hide. */
  readonly hides?: boolean
  /** Whether an item has expired for whoever may still ask for it: it goes as deleted ones do. */
  readonly isExpired?: (item: SnapshotItem) => boolean
}

/**
 * The runs with one more, newest; as many as are of about one size are merged, so that a snapshot has few runs and each item is rewritten about
 * log(state) times; and all of them, when what lies over the oldest comes to half of it, so that what was overwritten, deleted or has expired never takes more room than what is alive. Deleted items go
 * when nothing older is left that they could hide.
 */
export async function addRun(
  ports: RunPorts,
  prefix: string,
  runs: Runs,
  run: SortedRun,
  { hides = false, isExpired }: MergeOptions = {},
): Promise<Runs> {
  if (run.length === 0) return runs
  let all = [...runs, run]
  for (;;) {
    const from = overlaid(all) ? 0 : firstOfTier(all)
    if (from === undefined) return all
    const merged = await merge(ports, prefix, all.slice(from), from === 0 && !hides, isExpired)
    all = [...all.slice(0, from), ...(merged.length > 0 ? [merged] : [])]
    if (all.length === 0) return all
  }
}

/** One run of several. `whole`: nothing older is behind them. */
export async function merge(
  ports: RunPorts,
  prefix: string,
  runs: Runs,
  whole: boolean,
  isExpired: MergeOptions['isExpired'] = () => false,
): Promise<SortedRun> {
  const writer = new RunWriter(ports, prefix)
  for await (const items of mergedPieces(ports.blobs, runs)) {
    for (const item of items) {
      if (!whole || (item.value !== undefined && !isExpired(item))) {
        const full = writer.add(item)
        if (full !== undefined) await full
      }
    }
  }
  return writer.finish()
}

/** Where the newest runs begin that are of about one size, if they are enough to be merged. */
function firstOfTier(all: Runs): number | undefined {
  const tier = tierOf(all.at(-1)!)
  const from = all.findLastIndex(r => tierOf(r) > tier) + 1
  return all.length - from < MERGE_RUNS ? undefined : from
}

/** Of the items or bytes of the oldest run, half as many lie over it: all of them may have taken the place of some of its own. */
function overlaid([oldest, ...newer]: Runs): boolean {
  const [items, bytes] = [countOf(newer.flat(), 'items'), countOf(newer.flat(), 'bytes')]
  const below = countOf(oldest!, 'bytes')
  return bytes + below > OVERLAID_BYTES_MIN && (2 * items >= countOf(oldest!, 'items') || 2 * bytes >= below)
}

function countOf(run: SortedRun, what: 'items' | 'bytes'): number {
  return run.reduce((sum, segment) => sum + segment[what], 0)
}

function tierOf(run: SortedRun): number {
  return Math.max(0, Math.ceil(Math.log(countOf(run, 'bytes') / SMALLEST_TIER_BYTES) / Math.log(MERGE_RUNS)))
}
