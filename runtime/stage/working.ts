import type { SourcePosition } from '../connectors/source.ts'
import {
  type Alignment,
  type Counts,
  type FrameId,
  type HeadFields,
  type Injection,
  later,
  type Position,
} from '../protocol/item.ts'

/** The part of the head that changes while an attempt runs; a lost attempt throws it away. */
export class Working {
  position: Position
  source: SourcePosition | undefined
  sourceDone: boolean
  readonly accepted: Map<number, FrameId>
  readonly watermarks: Map<number, number>
  readonly idle: Set<number>
  watermark: number
  lastCut: number
  alignment: Alignment | undefined
  injection: Injection | undefined
  heardAt: number | undefined
  readonly takesFrom: number | undefined
  readonly counts: { -readonly [K in keyof Counts]: Counts[K] }
  private heard: ReadonlySet<number>
  /** In the place of others, since the beginning. */
  private replaced: boolean
  private readonly lateBefore: number

  constructor(fields: HeadFields, producers: readonly number[]) {
    this.heard = new Set(producers)
    this.replaced = fields.producers !== undefined
    this.position = fields.position
    this.source = fields.source
    this.sourceDone = fields.sourceDone
    this.accepted = new Map(fields.accepted.map(([p, v, i]) => [p, [v, i]]))
    this.watermarks = new Map(fields.watermarks)
    this.idle = new Set(fields.idle)
    this.watermark = fields.watermark
    this.lastCut = fields.lastCut
    this.alignment = fields.alignment
    this.injection = fields.injection
    this.heardAt = fields.heardAt
    this.takesFrom = fields.takesFrom
    this.counts = { ...fields.counts }
    this.lateBefore = fields.counts.late
  }

  /** All that count here. */
  get producers(): readonly number[] {
    return [...this.heard]
  }

  /** For the head: undefined as long as they are those of the beginning. */
  get laterProducers(): readonly number[] | undefined {
    return this.replaced ? this.producers : undefined
  }

  /** A producer that has ended is heard no more: what comes of it is a duplicate, for its last frame was its seal. */
  hears(producer: number): boolean {
    return this.heard.has(producer)
  }

  /**
   * `parent` has ended with the frame `sealedAt`, and `children` go on for it (protocol.md, F2). A child that has several parents takes over from each at its own seal: it can send nothing
   * before the last of them.
   */
  replace(parent: number, children: readonly number[], sealedAt: FrameId): void {
    const swap = (all: Iterable<number>) => new Set([...all].flatMap(p => (p === parent ? children : [p])))
    const watermark = this.watermarks.get(parent) ?? Number.NEGATIVE_INFINITY
    const idle = this.idle.has(parent)
    for (const child of children) {
      const known = this.heard.has(child)
      if (!idle) this.idle.delete(child)
      else if (!known) this.idle.add(child)
      this.accepted.set(child, later(this.lastAccepted(child), sealedAt))
      this.watermarks.set(child, known ? Math.min(this.watermarks.get(child)!, watermark) : watermark)
    }
    this.heard = swap(this.heard)
    this.replaced = true
    for (const known of [this.accepted, this.watermarks, this.idle]) known.delete(parent)
    if (this.alignment !== undefined) this.alignment = { ...this.alignment, pending: [...swap(this.alignment.pending)] }
  }

  lastAccepted(producer: number): FrameId {
    return this.accepted.get(producer) ?? [0, 0]
  }

  /** `dropped`: by the operators, since they were opened with these fields. */
  countLate(dropped: number): void {
    this.counts.late = this.lateBefore + dropped
  }

  /**
   * A producer's watermark; -Infinity says that it is idle. Gives the stage's new watermark, undefined if it did not rise. Where all are idle it is the highest, as if they had become so one after the
   * other, those behind first.
   */
  onWatermark(producer: number, watermark: number): number | undefined {
    if (watermark === Number.NEGATIVE_INFINITY) this.idle.add(producer)
    else {
      this.idle.delete(producer)
      if (watermark > (this.watermarks.get(producer) ?? Number.NEGATIVE_INFINITY)) this.watermarks.set(producer, watermark)
    }
    let min = Number.POSITIVE_INFINITY
    let max = Number.NEGATIVE_INFINITY
    for (const p of this.heard) {
      const w = this.watermarks.get(p) ?? Number.NEGATIVE_INFINITY
      if (w > max) max = w
      if (!this.idle.has(p) && w < min) min = w
    }
    if (this.allIdle) min = max
    // Those that are heard have ended, but a silent one has not: the end is not here.
    if (min === Number.POSITIVE_INFINITY && this.idle.size > 0) return undefined
    return this.raise(min)
  }

  /** To this watermark, if it is higher: then it is given. */
  raise(watermark: number): number | undefined {
    if (watermark <= this.watermark) return undefined
    this.watermark = watermark
    return watermark
  }

  get allIdle(): boolean {
    return this.heard.size > 0 && this.idle.size === this.heard.size
  }

  /** Barrier `n` from `producer` (protocol.md, D3): what it means here. */
  onBarrier(producer: number, checkpoint: number): 'cut' | 'aligned' | 'counted' | 'ignored' {
    const open = this.alignment
    if (open?.checkpoint === checkpoint) {
      if (!open.pending.includes(producer)) return 'ignored'
      const pending = open.pending.filter(p => p !== producer)
      this.alignment = { ...open, pending }
      return pending.length === 0 ? 'aligned' : 'counted'
    }
    return checkpoint > this.lastCut ? 'cut' : 'ignored'
  }

  /** This commit is cut `n`. */
  cut(checkpoint: number, version: number, pending: readonly number[]): void {
    this.lastCut = checkpoint
    this.alignment = { checkpoint, version, watermark: this.watermark, pending, channelState: [] }
  }

  pendingFrom(producer: number): boolean {
    return this.alignment?.pending.includes(producer) ?? false
  }
}
