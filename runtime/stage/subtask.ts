import { ALL_PRODUCERS, type KeptFrame, readChannelState } from '../checkpoint/channel-state.ts'
import type { SourceBatch, SourcePosition } from '../connectors/source.ts'
import { type Key, type KeyPart, userKey } from '../graph/key.ts'
import { placeOf } from '../operators/user-code.ts'
import type { Ports, StreamRecord } from '../ports.ts'
import { Decisions } from '../protocol/decisions.ts'
import { GapError, LostRaceError } from '../protocol/errors.ts'
import { ENTRY_BARRIER, ENTRY_RECORD, ENTRY_WATERMARK, type FrameCursor, readFrame } from '../protocol/frame.ts'
import type { Injection, Position } from '../protocol/item.ts'
import { follow } from '../protocol/log.ts'
import { SEAL_EDGE, type Seal } from '../protocol/seal.ts'
import { SnapshotError } from '../snapshot/error.ts'
import type { WatermarkGenerator, WatermarkStrategy } from '../time/strategy.ts'
import { Attempt, type AttemptLimits } from './attempt.ts'
import type { Chain } from './chain.ts'
import { type Decoded, decode, describePosition, rawBytes } from './decode.ts'
import { type Live, loadLive, nextProcessingTimer, useBase } from './live.ts'
import { type Arrived, arrived, classify, lookUp } from './read-committed.ts'
import type { StageTopology, Topology } from './topology.ts'
import type { Working } from './working.ts'

/** A record of a frame. */
export interface EnteredRecord {
  readonly id: string
  readonly value: unknown
  /** Epoch ms. */
  readonly timestamp: number
  /** That it runs under here; undefined: it has none, or its key function failed. */
  readonly key: Key | undefined
}

/** A frame whose fate nobody knows yet: the batch stops in front of it (protocol.md, B5). */
export interface Undecided {
  readonly log: string
  readonly version: number
  readonly arrivedAt: number
}

export interface DeliveryOutcome {
  /** Everything up to here is covered by a committed position, or was duplicates and losers (A7). */
  readonly covered: string
  readonly undecided: Undecided | undefined
}

/** Records of a blocked exchange in order of event time (runtime/batch). After `next()` the fields are those of a record. */
export interface OrderedRecords {
  /** False: the next one has to be loaded first, or there is none. */
  next(): boolean
  /** False: that was all. */
  load(): Promise<boolean>
  /** The watermark behind them, which is not passed: Infinity, so that everything fires, where a stream is to take over, or where the rest of them waits for another day. Read again when that was all. */
  readonly upTo: number
  readonly edge: number
  readonly value: unknown
  readonly timestamp: number
  readonly key: unknown
}

/** A raw record that could not become a value, for people. */
export interface DeadLetterNote {
  readonly source: string
  readonly position: string
  readonly reason: string
}

/** A view of the log that is older than this is refreshed before it is used (C7), ms. */
const VIEW_AGE_MS = 60_000

/**
 * One environment of one subtask: what a Lambda of the stage is between two invocations, and what the embedded engine runs as a
 * task. It may die at any await: everything that counts is in the log.
 */
export class Subtask {
  readonly at: StageTopology
  readonly shard: number
  readonly log: string
  private readonly topology: Topology
  private readonly ports: Ports
  private readonly limits: AttemptLimits
  private readonly decisions: Decisions
  private readonly onCommit: (notable: boolean) => void | Promise<void>
  private live: Live | undefined
  private attempt: Attempt | undefined
  /** By part of the split; '' for one that has none. */
  private readonly generators = new Map<string, WatermarkGenerator>()
  /** Where the record is that was entered last. */
  private takingFrom = ''
  private taking: FrameCursor | undefined
  private takingKey: KeyPart | undefined
  /** Ids of records of frames that are left out: user code has failed on them before, each time. */
  skipped: ReadonlySet<string> = new Set()
  /** The first dead letter of this environment: most pipelines have no sink for them, so a run says why there are any. */
  firstDeadLetter: DeadLetterNote | undefined

  constructor(
    topology: Topology,
    at: StageTopology,
    shard: number,
    ports: Ports,
    limits: AttemptLimits,
    onCommit: (subtask: Subtask, notable: boolean) => void | Promise<void> = () => {},
  ) {
    this.onCommit = notable => onCommit(this, notable)
    this.topology = topology
    this.at = at
    this.shard = shard
    this.ports = ports
    this.limits = limits
    this.log = topology.log(at.stage.index, shard)
    this.decisions = new Decisions(ports.log)
  }

  /** The state as of the last commit; loads it when this environment is cold. */
  async ready(): Promise<Live> {
    const now = this.ports.clock.now()
    if (this.live !== undefined && now - this.live.checkedAt > VIEW_AGE_MS) await this.refresh(this.live)
    if (this.live === undefined) {
      const live = await loadLive(this.topology, this.at, this.shard, this.ports, {
        subtask: this.shard,
        parallelism: this.topology.parallelism(this.at.stage.index),
        now: () => this.ports.clock.now(),
        sleep: (ms, signal) => this.ports.clock.sleep(ms, signal),
        random: () => this.ports.random.fraction(),
        shouldYield: () => this.attempt?.shouldYield() ?? false,
      })
      this.live = live
      if (live.head.fields.firing.length > 0) await this.guarded(() => this.finishFiring(live))
      if (live.working.injection !== undefined) await this.guarded(() => this.inject(live, live.working.injection!))
    }
    return this.live!
  }

  /** Records of the stage's stream, in order, from anywhere at or before the committed position. */
  deliver(records: readonly StreamRecord[]): Promise<DeliveryOutcome> {
    return this.guarded(async () => {
      const live = await this.ready()
      if (live.head.sealed) return { covered: records.at(-1)?.seq ?? '', undecided: undefined }
      const frames = arrived(records, live.working.position.seq)
      await lookUp(frames, this.topology, this.decisions)
      this.begin(live)
      await this.fireProcessingTimers(live)
      let covered = records.at(-1)?.seq ?? ''
      let undecided: Undecided | undefined
      for (const frame of frames) {
        const verdict = await classify(frame.header, live.working, this.topology, this.decisions)
        if (verdict === 'undecided') {
          undecided = {
            log: this.topology.logOfProducer(frame.header.producer),
            version: frame.header.version,
            arrivedAt: frame.record.arrivedAt,
          }
          covered = live.working.position.seq
          break
        }
        if (verdict === 'unheard') await this.refuseOld(live)
        if (verdict === 'gap') await this.lost(live, this.gapBefore(live, frame))
        if (verdict === 'accept') await this.consume(live, frame)
        // Of another run, say, and told to be covered before: where it lies in front of a frame that is consumed in part, that is still where to go on.
        else if (live.working.position.offset === 0) live.working.position = { seq: frame.record.seq, offset: 0 }
      }
      await this.finish(live)
      return { covered, undecided }
    })
  }

  /**
   * Raw records of a source split: `read` is asked for those behind the committed position, and told the watermark there, so that no view of it can be older than
   * the attempt's. False: there are none now.
   */
  deliverSource(
    read: (position: SourcePosition | undefined, watermark: number) => SourceBatch | Promise<SourceBatch>,
  ): Promise<boolean> {
    return this.guarded(async () => {
      const live = await this.ready()
      if (live.working.sourceDone) return false
      const batch = await read(live.working.source, live.working.watermark)
      if (batch.records.length === 0 && !batch.done && batch.watermark === undefined) return false
      this.begin(live)
      await this.fireProcessingTimers(live)
      const source = this.at.stage.source!.source!
      const { part } = batch
      const generator = this.generatorOf(part?.name ?? '', source.watermark)
      const { working, chain } = live
      const { takesFrom = Number.NEGATIVE_INFINITY } = working
      if (batch.records.length > 0 && source.watermark.idleAfter !== undefined) working.heardAt = this.ports.clock.now()
      const split = this.topology.splitOf(source.name, this.shard)
      let overdue = false
      for (let i = 0; i < batch.records.length; i++) {
        const raw = batch.records[i]!
        const rejected = batch.rejected?.(i)
        const decoded: Decoded = rejected === undefined ? decode(raw, source, batch, i) : { ok: false, reason: rejected }
        if (!decoded.ok) {
          working.counts.deadLetters++
          const note = {
            source: source.name,
            position: describePosition(split, batch.place?.(i), batch.after(i)),
            reason: decoded.reason,
          }
          this.firstDeadLetter ??= { ...note, reason: decoded.reason + placeOf(decoded.thrown) }
          chain.sourceDeadLetters.record({ ...note, raw: rawBytes(raw) }, Math.max(0, working.watermark), undefined)
        } else if (decoded.timestamp >= takesFrom && (batch.wants === undefined || batch.wants(decoded.timestamp))) {
          chain.sourceOutput.record(decoded.value, decoded.timestamp, undefined)
          const own = generator.onRecord(decoded.timestamp, decoded.value)
          const watermark = part === undefined ? own : part.watermark(own)
          if (watermark > working.watermark && this.mustFire(live, watermark)) {
            await this.fireSource(live, watermark, batch.after(i))
            overdue = this.attempt!.overdue
          }
        }
        this.attempt!.took(1)
        if (this.attempt!.full || overdue) {
          overdue = false
          working.source = batch.after(i)
          await this.commitAndGoOn(live)
        }
      }
      working.source = batch.next
      if (batch.watermark !== undefined) {
        this.attempt!.touch()
        if (batch.watermark > working.watermark && this.mustFire(live, batch.watermark))
          await this.fireSource(live, batch.watermark, batch.next)
      }
      if (batch.done) {
        working.sourceDone = true
        this.attempt!.touch()
        await this.fireSource(live, Number.POSITIVE_INFINITY, batch.next)
      }
      await this.finish(live)
      return true
    })
  }

  /**
   * The input of a bounded run's subtask, in order of event time: in front of each record the watermark is as far as it can be, so that none is late.
   */
  deliverOrdered(records: OrderedRecords): Promise<void> {
    return this.guarded(async () => {
      const live = await this.ready()
      const { working, chain } = live
      this.begin(live)
      for (;;) {
        if (!records.next()) {
          if (await records.load()) continue
          break
        }
        const watermark = Math.min(records.timestamp - 1, records.upTo)
        if (watermark > working.watermark && this.mustFire(live, watermark)) await this.fire(live, watermark, () => {})
        this.enter(chain, records)
        this.attempt!.took(1)
        if (this.attempt!.full) await this.commitAndGoOn(live)
      }
      this.attempt!.touch()
      const { upTo } = records
      if (upTo > working.watermark && this.mustFire(live, upTo)) await this.fire(live, upTo, () => {})
      await this.finish(live)
    })
  }

  /**
   * A source subtask's barrier: cut `n` at the position it stands at (protocol.md, D1). `idle`: and from then on, until it sends a record, consumers leave it out of
   * their watermarks. False: n is not above its last cut.
   */
  cutSource(checkpoint: number, idle = false): Promise<boolean> {
    return this.guarded(async () => {
      const live = await this.ready()
      if (checkpoint <= live.working.lastCut) return false
      this.begin(live)
      live.working.cut(checkpoint, live.head.version + 1, [])
      if (idle) this.attempt!.markIdle()
      else this.sinceNow(live.working)
      await this.attempt!.commit({ checkpoint })
      return true
    })
  }

  /** Its records were taken before there was a time with them: silence counts from here. */
  private sinceNow(working: Working): void {
    if (this.at.stage.source!.source!.watermark.idleAfter === undefined || working.source === undefined) return
    working.heardAt ??= this.ports.clock.now()
  }

  /** Nothing has come for a while: fires what is due by the clock, and tells consumers when the source is idle. */
  tick(idle: boolean): Promise<void> {
    return this.guarded(async () => {
      const live = await this.ready()
      if (live.head.sealed) return
      this.begin(live)
      await this.fireProcessingTimers(live)
      if (idle) this.attempt!.markIdle()
      await this.finish(live)
    })
  }

  /**
   * The end of the log of a shard that was split or merged (protocol.md, F2): `children` take over. `atEnd`: whether a position is the shard's end. False: there is more to be consumed.
   */
  seal(children: readonly number[], atEnd: (position: string) => Promise<boolean>): Promise<boolean> {
    return this.guarded(async () => {
      const live = await this.ready()
      if (live.head.sealed) return true
      const { position, allIdle } = live.working
      if (!(await atEnd(position.seq))) return false
      // It stands inside a frame, and was not read for longer than the stream keeps records.
      if (position.offset > 0)
        await this.lost(live, 'was read into a frame whose rest is not there any more, and its shard is closed')
      this.begin(live)
      if (allIdle) this.attempt!.markIdle()
      await this.attempt!.commit({ children })
      return true
    })
  }

  /** The base holds the state up to `version` (a commit of this subtask): what is older may leave the memory. */
  materialised(version: number): void {
    if (this.live === undefined || version <= this.live.marker) return
    this.live.marker = version
    useBase(this.live, this.topology, this.shard)
    for (const { state } of this.live.chain.keyed) state.settled(version)
  }

  get current(): Live | undefined {
    return this.live
  }

  /** See live.ts. */
  get nextProcessingTimer(): number {
    return this.live === undefined ? Number.POSITIVE_INFINITY : nextProcessingTimer(this.live)
  }

  async close(): Promise<void> {
    await this.live?.chain.close()
    this.live = undefined
  }

  // ---- one delivery -------------------------------------------------------------------------------------------------

  /** Whatever goes wrong, memory may no longer be what the log says: the next call starts from the log. */
  private async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const live = this.live
      this.live = undefined
      this.attempt = undefined
      this.generators.clear()
      await live?.chain.close().catch(() => {}) // the first error is the one to tell
      throw error
    }
  }

  private generatorOf(part: string, strategy: WatermarkStrategy): WatermarkGenerator {
    const generator = this.generators.get(part) ?? strategy.create()
    this.generators.set(part, generator)
    return generator
  }

  private begin(live: Live): void {
    this.attempt = new Attempt(this.topology, this.at, this.shard, this.ports, live, this.limits, this.onCommit)
  }

  /** The end of a delivery: what is under way is committed, if there is anything. */
  private async finish(live: Live): Promise<void> {
    await live.chain.drain()
    if (live.working.allIdle) this.attempt!.markIdle()
    if (this.attempt!.worthCommitting) await this.attempt!.commit(undefined)
  }

  private async commitAndGoOn(live: Live): Promise<void> {
    await live.chain.drain()
    await this.attempt!.commit(undefined)
    this.begin(live)
  }

  private async consume(live: Live, frame: Arrived): Promise<void> {
    const { header, record } = frame
    const { working, chain } = live
    const before = working.position
    const cursor = readFrame(record.data).reader()
    const from = before.offset
    if (from > 0) {
      const [producer, version, index] = before.frame!
      // Only a view that is behind, or a stream that has lost it, goes on with another frame than the one that is consumed in part.
      if (producer !== header.producer || version !== header.version || index !== header.index)
        await this.lost(
          live,
          `goes on inside frame ${version}.${index} of ${this.topology.logOfProducer(producer)}, but got ${this.named(frame)}`,
        )
      cursor.skip(from)
    }
    const keep = working.pendingFrom(header.producer)
    if (keep) this.attempt!.keepForAlignment(record.data, from)
    this.attempt!.tookFrame()
    working.idle.delete(header.producer)
    for (let type = cursor.next(); type >= 0; type = cursor.next()) {
      if (type === ENTRY_RECORD) {
        if (cursor.edge === SEAL_EDGE) {
          const { children } = cursor.value as Seal
          working.replace(header.producer, children, [header.version, header.index])
          working.position = { seq: record.seq, offset: 0 }
          return
        }
        this.takingFrom = record.seq
        this.taking = cursor
        if (this.skipped.size > 0 && this.skipped.has(entryId(record.seq, cursor))) working.counts.deadLetters++
        else this.enter(chain, cursor)
        this.attempt!.took(1)
        if (this.attempt!.full) await this.commitInside(live, frame, before.seq, cursor, keep ? record.data : undefined)
      } else if (type === ENTRY_WATERMARK) {
        const risen = working.onWatermark(header.producer, cursor.watermark)
        if (risen !== undefined && this.mustFire(live, risen)) {
          await this.fireInside(live, risen, frame, before.seq, cursor, keep ? record.data : undefined)
          if (this.attempt!.full || this.attempt!.overdue)
            await this.commitInside(live, frame, before.seq, cursor, keep ? record.data : undefined)
        }
      } else if (type === ENTRY_BARRIER) {
        await this.barrier(live, frame, cursor.checkpoint)
        return
      }
    }
    working.accepted.set(header.producer, [header.version, header.index])
    working.position = { seq: record.seq, offset: 0 }
  }

  /** A record goes in where its edge enters the chain. */
  private enter(chain: Chain, cursor: Pick<FrameCursor, 'edge' | 'value' | 'timestamp' | 'key'>): void {
    const entrance = chain.entrances.get(cursor.edge)!
    this.takingKey = undefined // should the key function throw, it is not the key of the record before
    this.takingKey = cursor.key === undefined && entrance.key !== undefined ? entrance.key(cursor.value) : cursor.key
    entrance.receiver.record(cursor.value, cursor.timestamp, this.takingKey)
  }

  /** A commit in the middle of a frame: the position says how many of its entries are taken. */
  private async commitInside(
    live: Live,
    frame: Arrived,
    seq: string,
    cursor: FrameCursor,
    kept: Uint8Array | undefined,
  ): Promise<void> {
    live.working.position = inside(frame, seq, cursor)
    if (kept !== undefined) this.attempt!.endKept(cursor.offset)
    await this.commitAndGoOn(live)
    this.attempt!.tookFrame() // the frame's end has to be committed too, even if no record is left in it (A7)
    if (kept !== undefined) this.attempt!.keepForAlignment(kept, cursor.offset)
  }

  private async fireInside(
    live: Live,
    watermark: number,
    frame: Arrived,
    seq: string,
    cursor: FrameCursor,
    kept: Uint8Array | undefined,
  ): Promise<void> {
    live.working.position = inside(frame, seq, cursor)
    await this.fire(live, watermark, () => {
      if (kept !== undefined) this.attempt!.endKept(cursor.offset)
    })
    if (kept !== undefined && this.attempt!.keepsNothing) this.attempt!.keepForAlignment(kept, cursor.offset)
  }

  /** Passes a watermark on at once if no timer is due by it (true: it has timers to fire, which may take several commits). */
  private mustFire(live: Live, watermark: number): boolean {
    live.working.watermark = watermark
    if (watermark >= live.chain.nextEventTimer || watermark === Number.POSITIVE_INFINITY) return true
    live.chain.watermark(watermark)
    return false
  }

  private async fireSource(live: Live, watermark: number, after: SourcePosition): Promise<void> {
    live.working.watermark = watermark
    live.working.source = after
    await this.fire(live, watermark, () => {})
  }

  /** The record of a frame that was entered last, by which whoever delivers knows it again; undefined: timers have fired since. */
  get entered(): EnteredRecord | undefined {
    if (this.taking === undefined) return undefined
    const { taking, takingKey } = this
    const key = takingKey === undefined ? undefined : userKey(takingKey)
    return { id: entryId(this.takingFrom, taking), value: taking.value, timestamp: taking.timestamp, key }
  }

  /** A watermark that has timers to fire: more than fit in one commit are committed in several. */
  private async fire(live: Live, watermark: number, beforeCommit: () => void): Promise<void> {
    await live.chain.drain()
    this.taking = undefined
    this.attempt!.mayYield = true
    live.chain.watermark(watermark)
    await live.chain.drain()
    for (let yielded = live.chain.yielded; yielded.length > 0; yielded = live.chain.yielded) {
      beforeCommit()
      await this.attempt!.commit(undefined)
      this.begin(live)
      this.attempt!.touch() // that firing ended has to be committed too, even if no timer is left
      this.attempt!.mayYield = true
      for (const operator of yielded) operator.resume()
      await live.chain.drain()
    }
    this.attempt!.mayYield = false
  }

  /** After a restart in the middle of firing. */
  private async finishFiring(live: Live): Promise<void> {
    this.begin(live)
    this.attempt!.mayYield = true
    for (let yielded = live.chain.yielded; yielded.length > 0; yielded = live.chain.yielded) {
      for (const operator of yielded) operator.resume()
      await live.chain.drain()
      await this.attempt!.commit(undefined)
      this.begin(live)
      this.attempt!.mayYield = true
    }
    this.attempt!.mayYield = false
  }

  /** The first input of a restored run (D8): what was on its way to this subtask when the checkpoint was taken. */
  private async inject(live: Live, { blobs, taken }: Injection): Promise<void> {
    const { working } = live
    let passed = 0
    const upTo = () => {
      working.injection = { blobs, taken: passed }
    }
    this.begin(live)
    for await (const { data, from, to } of this.kept(live, blobs)) {
      const frame = readFrame(data)
      const cursor = frame.reader()
      if (from > 0) cursor.skip(from)
      working.idle.delete(frame.header.producer)
      for (let i = from, type = cursor.next(); i < to && type >= 0; i++, type = cursor.next()) {
        if (++passed <= taken || cursor.edge === SEAL_EDGE) continue
        if (type === ENTRY_RECORD) {
          this.takingFrom = `${INJECTED}${passed}`
          this.taking = cursor
          if (this.skipped.has(entryId(this.takingFrom, cursor))) working.counts.deadLetters++
          else this.enter(live.chain, cursor)
          this.attempt!.took(1)
        } else if (type === ENTRY_WATERMARK) {
          const { producer } = frame.header
          const risen =
            producer === ALL_PRODUCERS ? working.raise(cursor.watermark) : working.onWatermark(producer, cursor.watermark)
          if (risen !== undefined && this.mustFire(live, risen)) await this.fire(live, risen, upTo)
        }
        if (!this.attempt!.full && !this.attempt!.overdue) continue
        upTo()
        await this.commitAndGoOn(live)
      }
    }
    await live.chain.drain()
    working.injection = undefined
    await this.attempt!.commit(undefined)
  }

  /** What is gone may have been taken by another environment, and its checkpoint be one too many by now. */
  private async *kept(live: Live, blobs: readonly string[]): AsyncGenerator<KeptFrame> {
    try {
      yield* readChannelState(this.ports.blobs, blobs)
    } catch (error) {
      if (error instanceof SnapshotError) await this.refuseOld(live)
      throw error
    }
  }

  private async fireProcessingTimers(live: Live): Promise<void> {
    const now = this.ports.clock.now()
    if (this.nextProcessingTimer > now) return
    this.attempt!.mayYield = true
    while (!(await live.chain.fireProcessingTimers(now))) {
      await this.attempt!.commit(undefined)
      this.begin(live)
      this.attempt!.mayYield = true
    }
    this.attempt!.mayYield = false
    this.attempt!.touch()
  }

  /** A barrier is the last entry of its frame. At the first one of a checkpoint the commit ends just behind it (D1, D3). */
  private async barrier(live: Live, frame: Arrived, checkpoint: number): Promise<void> {
    const { working } = live
    const { producer, version, index } = frame.header
    const meaning = working.onBarrier(producer, checkpoint)
    working.accepted.set(producer, [version, index])
    working.position = { seq: frame.record.seq, offset: 0 }
    if (meaning === 'cut') {
      await live.chain.drain()
      const pending = working.producers.filter(p => p !== producer)
      this.attempt!.dropKept()
      working.cut(checkpoint, live.head.version + 1, pending)
      await this.attempt!.commit({ checkpoint })
      this.begin(live)
    } else if (meaning === 'aligned') {
      await live.chain.drain()
      await this.attempt!.commit('aligned')
      this.begin(live)
    }
  }

  // ---- doubts about the own view ------------------------------------------------------------------------------------

  /** B7: only an environment that is not behind its own log may call it a gap. */
  private async lost(live: Live, what: string): Promise<never> {
    await this.refuseOld(live)
    throw new GapError(`${this.log} ${what}: frames were lost on the stream`)
  }

  /** @throws LostRaceError where this environment is behind its own log */
  private async refuseOld(live: Live): Promise<void> {
    const next = live.head.version + 1
    // The next slot may have expired already: then the floor tells.
    const behind = (await this.ports.log.get(this.log, next)) !== undefined || (await this.ports.log.floor(this.log)) >= next
    if (behind) throw new LostRaceError(`${this.log} went on elsewhere; its batch is done again`)
  }

  private gapBefore(live: Live, frame: Arrived): string {
    const { producer, predVersion, predIndex } = frame.header
    const [version, index] = live.working.lastAccepted(producer)
    return `got ${this.named(frame)}, whose predecessor is ${predVersion}.${predIndex}, but the last one accepted was ${version}.${index}`
  }

  private named({ header }: Arrived): string {
    return `frame ${header.version}.${header.index} of ${this.topology.logOfProducer(header.producer)}`
  }

  private async refresh(live: Live): Promise<void> {
    const read = await follow(this.ports.log, this.log, live.head)
    if (read === undefined || read.head.version !== live.head.version) {
      await live.chain.close()
      this.live = undefined
    } else live.checkedAt = this.ports.clock.now()
  }
}

/** In the place of a stream's record, with how manieth it is of all that is injected. */
const INJECTED = 'injected-'

/** By the stream's record and the place in its frame. */
function entryId(seq: string, { offset }: FrameCursor): string {
  return `${seq}-${offset}`
}

function inside({ header }: Arrived, seq: string, cursor: FrameCursor): Position {
  return { seq, offset: cursor.offset, frame: [header.producer, header.version, header.index] }
}
