import { dueMs, type FailoverSettings, type Trace, VICTIM } from './settings.ts'

/** What is compared of two runs. Times in ms. */
export interface Figures {
  /** Times that user code has seen a record again: of the subtask that died, and of all others. */
  readonly againKilled: number
  readonly againOthers: number
  /** Records that the subtask that died had seen since its last commit. Nobody died: of its largest batch. */
  readonly batch: number
  /** From the death to the next commit of the subtask that died. */
  readonly commitsAgainMs: number | undefined
  /** The longest time in which a subtask saw no record: of the one that died, and the longest of the others. */
  readonly pauseKilledMs: number
  readonly pauseOthersMs: number
  /** The longest time between two commits, likewise. */
  readonly commitGapKilledMs: number
  readonly commitGapOthersMs: number
  /** The longest time from when an event was due to when it was last seen, likewise: before that it had no effect that counts. */
  readonly delayKilledMs: number
  readonly delayOthersMs: number
}

/** From so long before the death (or the middle of the run) on, to the end of the input: starts are not what is measured. */
const BEFORE_MS = 2_000

/** Of a run that nobody disturbed, VICTIM's are those of the subtask that would have died. */
export function figures(trace: Trace, settings: FailoverSettings): Figures {
  const { startedAt, killedAt, seen, commits } = trace
  const { rate, seconds, killAtSeconds } = settings
  const end = startedAt + seconds * 1000
  const from = (killedAt ?? startedAt + (killAtSeconds ?? seconds / 2) * 1000) - BEFORE_MS
  const window = (times: readonly number[]) => times.filter(at => at >= from && at <= end)
  const all = seen.map((records, subtask) => {
    const last = new Map(records)
    return {
      killed: subtask === VICTIM,
      again: records.length - last.size,
      pauseMs: longestGap(window(records.map(([, at]) => at))),
      commitGapMs: longestGap(window(commits[subtask]!)),
      delayMs: longest([...last].filter(([, at]) => at >= from && at <= end).map(([id, at]) => at - dueMs(id, startedAt, rate))),
    }
  })
  const [killed, others] = [all.filter(s => s.killed), all.filter(s => !s.killed)]
  const next = killedAt === undefined ? undefined : commits[VICTIM]!.find(at => at > killedAt)
  return {
    againKilled: killed.reduce((sum, s) => sum + s.again, 0),
    againOthers: others.reduce((sum, s) => sum + s.again, 0),
    batch: batchOf(trace),
    commitsAgainMs: next === undefined ? undefined : next - killedAt!,
    pauseKilledMs: longest(killed.map(s => s.pauseMs)),
    pauseOthersMs: longest(others.map(s => s.pauseMs)),
    commitGapKilledMs: longest(killed.map(s => s.commitGapMs)),
    commitGapOthersMs: longest(others.map(s => s.commitGapMs)),
    delayKilledMs: longest(killed.map(s => s.delayMs)),
    delayOthersMs: longest(others.map(s => s.delayMs)),
  }
}

function batchOf({ seen, commits, killedAt }: Trace): number {
  const times = seen[VICTIM]!.map(([, at]) => at)
  const final = commits[VICTIM]!
  const between = (from: number, to: number) => times.filter(at => at > from && at <= to).length
  if (killedAt !== undefined) return between(final.findLast(at => at <= killedAt) ?? 0, killedAt)
  return longest(final.map((at, i) => between(final[i - 1] ?? 0, at)))
}

function longestGap(times: readonly number[]): number {
  return longest(times.slice(1).map((at, i) => at - times[i]!))
}

/** 0 of none. */
function longest(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), 0)
}
