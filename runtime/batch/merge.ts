import { type FrameCursor, readFrame } from '../protocol/frame.ts'
import type { OrderedRecords } from '../stage/subtask.ts'
import { type RunFile, RunWriter, type SortedRun } from './run-file.ts'
import { localRuns, type RunReader, type RunReaders } from './run-reader.ts'

/** Runs of one file. */
export interface SpilledRuns {
  readonly path: string
  readonly runs: readonly SortedRun[]
}

/** Runs that are read at a time: of each, one frame is in memory. */
const OPEN_MAX = 32

/**
 * The records of all runs in order of event time; of records of one time, those of an earlier run (in the order of `inputs`) come first. A run is opened when its first record's turn has come,
 * and closed behind its last: most archives are nearly in order, so that few are open at a time. `scratch` makes a file for the runs that are merged first, where too many overlap.
 * `after`: only records of a later time.
 */
export async function mergeRuns(
  inputs: readonly SpilledRuns[],
  scratch: () => RunFile,
  readers: RunReaders = localRuns,
  after = Number.NEGATIVE_INFINITY,
): Promise<MergedRuns> {
  let runs: PlacedRun[] = inputs.flatMap(({ path, runs }) =>
    runs.flatMap(run => (run.last > after ? [{ path, run, readers }] : [])),
  )
  while (overlap(runs.map(r => r.run)) > OPEN_MAX) {
    const file = scratch()
    const merged: PlacedRun[] = []
    // Neighbours, so that the order of the runs stays the order among records of one time.
    for (let i = 0; i < runs.length; i += OPEN_MAX) {
      const writer = new RunWriter(file)
      const some = new MergedRuns(runs.slice(i, i + OPEN_MAX), after)
      do {
        while (some.next()) writer.add(some.edge, some.value, some.timestamp, some.key)
      } while (await some.load())
      writer.endFrame()
      merged.push(...writer.runs.map(run => ({ path: file.path, run, readers: localRuns })))
    }
    file.close()
    runs = merged
  }
  return new MergedRuns(runs, after)
}

/** How many of them a merge has open at a time, at most. */
function overlap(runs: readonly SortedRun[]): number {
  const firsts = runs.map(r => r.first).sort((a, b) => a - b)
  const lasts = runs.map(r => r.last).sort((a, b) => a - b)
  let ended = 0
  let max = 0
  for (let begun = 0; begun < firsts.length; begun++) {
    while (lasts[ended]! < firsts[begun]!) ended++
    max = Math.max(max, begun + 1 - ended)
  }
  return max
}

interface PlacedRun {
  readonly path: string
  readonly run: SortedRun
  readonly readers: RunReaders
}

/** A merge under way. */
export class MergedRuns implements Omit<OrderedRecords, 'upTo'> {
  edge = 0
  value: unknown = undefined
  timestamp = 0
  key: unknown = undefined
  /** Records that there are in all. */
  readonly records: number
  /** Not begun, the one that is next at the end. */
  private readonly waiting: readonly Reader[]
  private begun: number
  /** A heap of those that stand on a record, without `top`. */
  private readonly heap: Reader[] = []
  /** The one that is read from, and whether the record that it stands on was given. */
  private top: Reader | undefined
  private given = false
  /** Has to load a frame before anything else can be said. */
  private loading: Reader | undefined
  private readonly files = new Files()

  constructor(runs: readonly PlacedRun[], after = Number.NEGATIVE_INFINITY) {
    this.records = runs.reduce((sum, { run }) => sum + run.records, 0)
    this.waiting = runs
      .map((run, order) => new Reader(run, order, after))
      .sort((a, b) => b.timestamp - a.timestamp || b.order - a.order)
    this.begun = this.waiting.length
  }

  next(): boolean {
    if (this.loading !== undefined) return false
    const { top } = this
    if (top !== undefined && this.given && !top.advance()) {
      this.top = undefined
      if (top.hasMore) {
        this.loading = top
        return false
      }
      this.files.close(top.placed)
    }
    this.given = false
    const best = this.best()
    const waiting = this.waiting[this.begun - 1]
    if (waiting !== undefined && (best === undefined || before(waiting, best))) {
      this.begun--
      this.loading = waiting
      return false
    }
    if (best === undefined) return false
    this.give(best)
    return true
  }

  async load(): Promise<boolean> {
    const { loading } = this
    if (loading === undefined) return false
    const stands = await loading.load(this.files)
    this.loading = undefined
    if (stands) push(this.heap, loading)
    else this.files.close(loading.placed)
    return true
  }

  /** Only needed where not everything was read. */
  async close(): Promise<void> {
    await this.files.closeAll()
  }

  /** The reader of the next record: `top`, as long as no other comes before it. */
  private best(): Reader | undefined {
    const { top, heap } = this
    if (heap.length === 0) return top
    if (top !== undefined && before(top, heap[0]!)) return top
    const best = pop(heap)
    if (top !== undefined) push(heap, top)
    this.top = best
    return best
  }

  private give(reader: Reader): void {
    this.top = reader
    this.given = true
    const cursor = reader.cursor!
    this.edge = cursor.edge
    this.value = cursor.value
    this.timestamp = cursor.timestamp
    this.key = cursor.key
  }
}

/** One run, standing on a record, or in front of its first. */
class Reader {
  readonly placed: PlacedRun
  readonly order: number
  timestamp: number
  cursor: FrameCursor | undefined
  private readonly after: number
  private opened = false
  private frame: number

  constructor(placed: PlacedRun, order: number, after: number) {
    const { run } = placed
    this.placed = placed
    this.order = order
    this.after = after
    // Not above that of the record that it will stand on: it is known when that is loaded.
    this.timestamp = Math.max(run.first, after)
    this.frame = Math.max(
      0,
      run.frames.findLastIndex(([, , first]) => first <= after),
    )
  }

  /** False: the frame is at its end. */
  advance(): boolean {
    const { cursor } = this
    if (cursor === undefined || cursor.next() < 0) return false
    this.timestamp = cursor.timestamp
    return true
  }

  get hasMore(): boolean {
    return this.frame < this.placed.run.frames.length
  }

  /** False: there was no record of a wanted time in it. */
  async load(files: Files): Promise<boolean> {
    if (!this.opened) await files.open(this.placed)
    this.opened = true
    while (this.hasMore) {
      const bytes = await files.of(this.placed).read(this.placed.run.frames, this.frame++)
      this.cursor = readFrame(bytes).reader()
      while (this.advance()) if (this.timestamp > this.after) return true
    }
    return false
  }
}

function before(a: Reader, b: Reader): boolean {
  return a.timestamp < b.timestamp || (a.timestamp === b.timestamp && a.order < b.order)
}

function push(heap: Reader[], reader: Reader): void {
  let i = heap.push(reader) - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!before(reader, heap[parent]!)) break
    heap[i] = heap[parent]!
    i = parent
  }
  heap[i] = reader
}

function pop(heap: Reader[]): Reader {
  const best = heap[0]!
  const last = heap.pop()!
  if (heap.length === 0) return best
  let i = 0
  for (;;) {
    let child = 2 * i + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
    if (!before(heap[child]!, last)) break
    heap[i] = heap[child]!
    i = child
  }
  heap[i] = last
  return best
}

/** Files that runs are read from, open as long as one of their runs is. */
class Files {
  private readonly opened = new Map<string, { readonly reader: RunReader; uses: number }>()

  async open({ path, readers }: PlacedRun): Promise<void> {
    const known = this.opened.get(path)
    if (known !== undefined) known.uses++
    else this.opened.set(path, { reader: await readers.open(path), uses: 1 })
  }

  of({ path }: PlacedRun): RunReader {
    return this.opened.get(path)!.reader
  }

  close({ path }: PlacedRun): void {
    const known = this.opened.get(path)!
    if (--known.uses > 0) return
    this.opened.delete(path)
    void known.reader.close()
  }

  async closeAll(): Promise<void> {
    const opened = [...this.opened.values()]
    this.opened.clear()
    await Promise.all(opened.map(({ reader }) => reader.close()))
  }
}
