import type { SourcePosition } from '../connectors/source.ts'
import type { Alignment, Counts, FrameId, HeadFields, Injection, Position } from '../protocol/item.ts'

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
  private readonly producers: readonly number[]
  private readonly lateBefore: number

  constructor(fields: HeadFields, producers: readonly number[]) {
    this.producers = producers
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
    for (const p of this.producers) {
      const w = this.watermarks.get(p) ?? Number.NEGATIVE_INFINITY
      if (w > max) max = w
      if (!this.idle.has(p) && w < min) min = w
    }
    if (this.allIdle) min = max
    if (min <= this.watermark) return undefined
    // Those that are heard have ended, but a silent one has not: the end is not here.
    if (min === Number.POSITIVE_INFINITY && this.idle.size > 0) return undefined
    this.watermark = min
    return min
  }

  get allIdle(): boolean {
    return this.producers.length > 0 && this.idle.size === this.producers.length
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
