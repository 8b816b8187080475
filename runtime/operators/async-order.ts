/** A record on its way through an async operator. */
export interface AsyncItem {
  readonly value: any
  readonly timestamp: number
  readonly key: any
  /** Undefined until its call is over. */
  outcome: { readonly ok: true; readonly result: any } | { readonly ok: false; readonly error: unknown } | undefined
}

/** What an order lets go of. */
export interface Emit {
  emitItem(item: AsyncItem): void
  emitWatermark(timestamp: number): void
}

/** Holds records and watermarks until it is their turn to leave an async operator. */
export interface AsyncOrder {
  readonly empty: boolean
  add(item: AsyncItem): void
  watermark(timestamp: number): void
  /** The item's outcome is known. */
  settled(item: AsyncItem): void
  /** Lets go of everything whose turn it is. */
  flush(emit: Emit): void
  clear(): void
}

export function asyncOrder(order: 'ordered' | 'completed'): AsyncOrder {
  return order === 'ordered' ? new InputOrder() : new CompletionOrder()
}

/** As they came in. */
class InputOrder implements AsyncOrder {
  private queue: (AsyncItem | number)[] = []
  private head = 0

  get empty(): boolean {
    return this.head === this.queue.length
  }

  add(item: AsyncItem): void {
    this.queue.push(item)
  }

  watermark(timestamp: number): void {
    this.queue.push(timestamp)
  }

  settled(): void {}

  flush(emit: Emit): void {
    while (this.head < this.queue.length) {
      const next = this.queue[this.head]!
      if (typeof next !== 'number' && next.outcome === undefined) break
      this.head++
      if (typeof next === 'number') emit.emitWatermark(next)
      else emit.emitItem(next)
    }
    if (this.head > 1024 || this.empty) {
      this.queue = this.queue.slice(this.head)
      this.head = 0
    }
  }

  clear(): void {
    this.queue = []
    this.head = 0
  }
}

/** Records between two watermarks. */
interface Segment {
  /** Calls that are not over. */
  open: number
  done: AsyncItem[]
  /** Set when the watermark behind them has come. */
  watermark: number | undefined
}

/** As their calls end, within the watermarks that they came between. */
class CompletionOrder implements AsyncOrder {
  private segments: Segment[] = [newSegment()]
  private readonly home = new Map<AsyncItem, Segment>()

  get empty(): boolean {
    const first = this.segments[0]!
    return first.open === 0 && first.done.length === 0 && first.watermark === undefined
  }

  add(item: AsyncItem): void {
    const last = this.segments[this.segments.length - 1]!
    last.open++
    this.home.set(item, last)
  }

  watermark(timestamp: number): void {
    this.segments[this.segments.length - 1]!.watermark = timestamp
    this.segments.push(newSegment())
  }

  settled(item: AsyncItem): void {
    const segment = this.home.get(item)!
    this.home.delete(item)
    segment.open--
    segment.done.push(item)
  }

  flush(emit: Emit): void {
    let passed = 0
    for (;;) {
      const segment = this.segments[passed]!
      const { done } = segment
      segment.done = []
      for (const item of done) emit.emitItem(item)
      if (segment.open > 0 || segment.watermark === undefined) break
      passed++
      emit.emitWatermark(segment.watermark)
    }
    this.segments.splice(0, passed)
  }

  clear(): void {
    this.segments = [newSegment()]
    this.home.clear()
  }
}

function newSegment(): Segment {
  return { open: 0, done: [], watermark: undefined }
}
