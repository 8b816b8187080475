import type { KeyPart } from '../graph/key.ts'
import { DELETED, type KeyEntry } from '../state/entry.ts'
import { type Fold, foldOf } from '../windows/aggregate.ts'
import type { SessionAssigner } from '../windows/assigners.ts'
import type { WindowOptions } from '../windows/options.ts'
import { KeyedOperator } from './keyed-operator.ts'
import { sessionGap } from './session-gap.ts'
import { userError } from './user-code.ts'
import { emitResult } from './window-function.ts'

/** The only state: id → Session. */
const SESSIONS = 0

/** An open session. Its id, the map's subkey, is the start it had when it was opened. */
interface Session {
  start: number
  end: number
  acc: any
}

/**
 * Event-time sessions that are aggregated or reduced. Results equal those of WindowOperator with the default trigger and no allowed
 * lateness, but a session's timer stays where it is when the session grows, and moves on when it comes up: most records change one entry
 * and no timer.
 */
export class SessionWindowOperator extends KeyedOperator {
  private readonly options: WindowOptions
  private readonly assigner: SessionAssigner<any>
  private readonly fold: Fold

  constructor(options: WindowOptions) {
    super()
    this.options = options
    this.assigner = options.assigner as SessionAssigner<any>
    this.fold = foldOf(options)!
  }

  protected onRecord(entry: KeyEntry, value: any, timestamp: number): void {
    const end = timestamp + sessionGap(this.ctx, this.assigner, value, timestamp)
    let id = timestamp
    let session: Session | undefined
    let others: [number, Session][] | undefined
    for (const [otherId, other] of this.state.slot(entry, SESSIONS).entries as Iterable<[number, Session | typeof DELETED]>) {
      if (other === DELETED || other.start > end || timestamp > other.end) continue
      if (session === undefined) {
        id = otherId
        session = other
      } else {
        others ??= [[id, session]]
        others.push([otherId, other])
      }
    }
    if (session === undefined) {
      if (end - 1 <= this.currentWatermark) {
        this.onLate(entry, value, timestamp)
        return
      }
      session = { start: timestamp, end, acc: undefined }
      this.eventTimers.set(end - 1, entry.key, id)
    } else if (others !== undefined) {
      others.sort((a, b) => a[1].start - b[1].start)
      id = others[0]![0]
      session = this.mergeSessions(entry, others, timestamp)
    }
    if (timestamp < session.start) session.start = timestamp
    if (end > session.end) session.end = end
    try {
      session.acc = this.fold.add(session.acc, value)
    } catch (error) {
      throw userError(this.ctx, timestamp, this.options.reduce === undefined ? 'the aggregate' : 'reduce', error)
    }
    this.state.mapSet(entry, SESSIONS, id, session, 0)
  }

  protected override onTimer(entry: KeyEntry, at: number, tag: KeyPart): void {
    const session: Session | undefined = this.state.mapGet(entry, SESSIONS, tag, 0)
    if (session === undefined) return // merged into an earlier one
    if (at < session.end - 1) {
      this.eventTimers.set(session.end - 1, entry.key, tag)
      return
    }
    this.state.mapDelete(entry, SESSIONS, tag)
    emitResult(this, this.options, this.fold, entry, session, session.acc, at)
  }

  /** The first of these, which takes in the others. */
  private mergeSessions(entry: KeyEntry, sessions: readonly [number, Session][], timestamp: number): Session {
    const into = sessions[0]![1]
    for (const [id, other] of sessions.slice(1)) {
      try {
        into.acc = this.fold.merge!(into.acc, other.acc)
      } catch (error) {
        throw userError(this.ctx, timestamp, "the aggregate's merge", error)
      }
      if (other.end > into.end) into.end = other.end
      this.state.mapDelete(entry, SESSIONS, id)
    }
    return into
  }

  private onLate(entry: KeyEntry, value: any, timestamp: number): void {
    if (timestamp > this.currentWatermark) return
    this.dropLate(this.options.late, value, timestamp, entry.key)
  }
}
