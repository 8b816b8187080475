/**
 * What windows give, written from the definition: plain lists, every window looked at for every question. Nothing here is shared with
 * the engine. Times are one clock: event time (the watermark), or processing time.
 */
export type Event =
  | { readonly kind: 'record'; readonly key: string; readonly value: number; readonly timestamp: number }
  /** The watermark, or the machine's clock, has come this far. */
  | { readonly kind: 'time'; readonly to: number }

export interface ModelOptions {
  readonly windows:
    | { readonly kind: 'sliding'; readonly size: number; readonly slide: number; readonly offset: number }
    | { readonly kind: 'session'; readonly gap: (value: number) => number }
    | { readonly kind: 'global' }
  readonly time: 'event' | 'processing'
  readonly trigger:
    | { readonly kind: 'end' }
    | { readonly kind: 'count'; readonly n: number }
    | { readonly kind: 'every'; readonly ms: number }
  readonly purging: boolean
  readonly evict?: { readonly keep: (elements: Element[]) => Element[]; readonly after: boolean }
  readonly lateness: number
}

export interface Element {
  readonly value: number
  readonly timestamp: number
}

export interface ModelResult {
  readonly key: string
  readonly start: number
  readonly end: number
  readonly values: number[]
  readonly timestamp: number
}

interface OpenWindow {
  key: string
  id: number
  start: number
  end: number
  elements: Element[]
  count: number
  /** Pending times: of a continuous trigger; whether the end has been set as a time to fire at. */
  next: number | undefined
  armed: boolean
  /** Greatest timestamp since the last purge. */
  latest: number
}

export class WindowModel {
  readonly results: ModelResult[] = []
  readonly late: { key: string; value: number }[] = []
  private open: OpenWindow[] = []
  private readonly options: ModelOptions
  /** The watermark; the clock, of which the last millisecond is not over yet. */
  private now = Number.NEGATIVE_INFINITY

  constructor(options: ModelOptions) {
    this.options = options
  }

  event(event: Event): void {
    if (event.kind === 'time') this.advance(event.to)
    else this.record(event.key, event.value, event.timestamp)
  }

  private get passed(): number {
    return this.options.time === 'event' ? this.now : this.now - 1
  }

  private record(key: string, value: number, timestamp: number): void {
    const { windows, time, lateness } = this.options
    const at = time === 'event' ? timestamp : this.now
    let anywhere = false
    for (const window of this.windowsOf(windows, key, at, value)) {
      if (time === 'event' && window.end - 1 + lateness <= this.now) {
        this.open = this.open.filter(w => w !== window)
        continue
      }
      anywhere = true
      window.elements.push({ value, timestamp })
      window.latest = Math.max(window.latest, timestamp)
      this.onElement(window, timestamp)
    }
    if (!anywhere && time === 'event' && timestamp + lateness <= this.now) this.late.push({ key, value })
  }

  private windowsOf(windows: ModelOptions['windows'], key: string, at: number, value: number): OpenWindow[] {
    if (windows.kind === 'global') return [this.opened(key, 0, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)]
    if (windows.kind === 'session') return [this.session(key, at, at + windows.gap(value))]
    const list: OpenWindow[] = []
    for (let start = Math.floor(at) - windows.size - 1; start <= at; start++) {
      const onGrid = (((start - windows.offset) % windows.slide) + windows.slide) % windows.slide === 0
      if (onGrid && start <= at && at < start + windows.size) list.push(this.opened(key, start, start, start + windows.size))
    }
    return list
  }

  private opened(key: string, id: number, start: number, end: number): OpenWindow {
    let window = this.open.find(w => w.key === key && w.id === id)
    if (window === undefined) {
      window = { key, id, start, end, elements: [], count: 0, next: undefined, armed: false, latest: Number.NEGATIVE_INFINITY }
      this.open.push(window)
    }
    return window
  }

  private session(key: string, start: number, end: number): OpenWindow {
    const touching = this.open.filter(w => w.key === key && w.start <= end && start <= w.end).sort((a, b) => a.start - b.start)
    if (touching.length === 0) return this.opened(key, start, start, end)
    if (touching.length === 1 && touching[0]!.start <= start && end <= touching[0]!.end) return touching[0]!
    const pending = touching.map(w => w.next).filter(next => next !== undefined)
    const merged: OpenWindow = {
      key,
      id: touching[0]!.id,
      start: Math.min(start, touching[0]!.start),
      end: Math.max(end, ...touching.map(w => w.end)),
      elements: touching.flatMap(w => w.elements),
      count: touching.reduce((sum, w) => sum + w.count, 0),
      next: pending.length === 0 ? undefined : Math.min(...pending),
      armed: false,
      latest: Number.NEGATIVE_INFINITY,
    }
    merged.armed = this.options.trigger.kind === 'end' && merged.end - 1 > this.passed
    this.open = [...this.open.filter(w => !touching.includes(w)), merged]
    return merged
  }

  private onElement(window: OpenWindow, timestamp: number): void {
    const { trigger, time } = this.options
    if (trigger.kind === 'count') {
      window.count++
      if (window.count < trigger.n) return
      window.count = 0
      this.fire(window)
      return
    }
    if (time === 'event' && window.end - 1 <= this.now) {
      this.fire(window)
      return
    }
    if (trigger.kind === 'end' || time === 'event') window.armed = true
    if (trigger.kind === 'every' && window.next === undefined) this.schedule(window, time === 'event' ? timestamp : this.now)
  }

  private schedule(window: OpenWindow, after: number): void {
    const { trigger } = this.options
    if (trigger.kind !== 'every') return
    window.next = Math.min((Math.floor(after / trigger.ms) + 1) * trigger.ms, window.end - 1)
  }

  /** Everything that is due happens in order of time, then key, then the window's id. */
  private advance(to: number): void {
    if (to <= this.now) return
    this.now = to
    for (;;) {
      const due = this.open
        .flatMap(window => this.timesOf(window).map(at => ({ at, window })))
        .filter(d => d.at <= this.passed)
        .sort(
          (a, b) =>
            a.at - b.at || (a.window.key < b.window.key ? -1 : a.window.key > b.window.key ? 1 : a.window.id - b.window.id),
        )
      const first = due[0]
      if (first === undefined) return
      this.due(first.window, first.at)
    }
  }

  private timesOf(window: OpenWindow): number[] {
    const times: number[] = []
    if (window.armed) times.push(window.end - 1)
    if (window.next !== undefined) times.push(window.next)
    if (window.end < Number.POSITIVE_INFINITY) times.push(window.end - 1 + this.options.lateness)
    return times
  }

  private due(window: OpenWindow, at: number): void {
    const last = window.end - 1
    const unending = last === Number.POSITIVE_INFINITY
    let fires = false
    if (window.next === at) {
      window.next = undefined
      fires = !(unending && this.now === last && at < last)
      if (at < last && !(unending && this.now === last)) this.schedule(window, at)
    }
    if (window.armed && at === last) {
      window.armed = false
      fires = true
    }
    if (fires) this.fire(window)
    if (at === last + this.options.lateness && !unending) this.open = this.open.filter(w => w !== window)
  }

  private fire(window: OpenWindow): void {
    const { evict, purging } = this.options
    const timestamp = window.end === Number.POSITIVE_INFINITY ? window.latest : window.end - 1
    let seen = window.elements
    if (evict !== undefined) {
      const kept = evict.keep(window.elements)
      if (!evict.after) seen = kept
      window.elements = [...kept]
    }
    const values = seen.map(e => e.value)
    if (values.length > 0) this.results.push({ key: window.key, start: window.start, end: window.end, values, timestamp })
    if (!purging) return
    window.elements = []
    window.latest = Number.NEGATIVE_INFINITY
  }
}
