import type { RunSummary } from '../embedded/run-options.ts'
import type { Unread } from './ended.ts'
import { columns, count, counted, duration, rate, watermark } from './format.ts'

/** Of a dead letter's reason: a schema may name many issues. */
const REASON_CHARS = 300

/** The end of a run, for people. `targets`: where each sink wrote, where the command chose that; `unread`: see there. */
export function summaryText(
  summary: RunSummary,
  targets: Readonly<Record<string, string>>,
  unread: readonly Unread[] = [],
): string {
  const { events, elapsedMs, checkpoints, resumed, total } = summary
  const perSecond = rate(elapsedMs > 0 ? (events * 1000) / elapsedMs : 0)
  const lines = [
    `${summary.pipeline} ${summary.outcome}${resumed ? ' (resumed)' : ''} after ${duration(elapsedMs)}`,
    ...unreadLines(summary, unread),
    `  events        ${both(total.events, events, resumed)} (${perSecond}/s)`,
    ...(resumed ? [`  results       ${both(total.results, summary.results, true)}`] : []),
    `  watermark     ${watermark(summary.watermark)}`,
    `  checkpoints   ${checkpoints.completed} completed, ${checkpoints.failed} failed${checkpoints.last > 0 ? `, the last is ${checkpoints.last}` : ''}`,
  ]
  if (total.deadLetters > 0) lines.push(`  dead letters  ${deadLettersText(summary)}`)
  if (total.late > 0) lines.push(`  late          ${lateText(summary)}`)
  const here = resumed ? ' in this process' : ''
  for (const [name, records] of Object.entries(summary.sinks)) {
    lines.push(`  sink ${name}: ${counted(records, 'record')}${here}${targets[name] ? ` to ${targets[name]}` : ''}`)
  }
  if (summary.stages.length > 0) {
    const rows = summary.stages.map(s => [s.id, `${s.subtasks}`, count(s.commits), count(s.recordsIn), count(s.recordsOut)])
    const stages = columns([[`stage${here}`, 'subtasks', 'commits', 'records in', 'records out'], ...rows])
    lines.push(stages.replace(/^/gm, '  '))
  }
  return `${lines.join('\n')}\n`
}

/** Who runs a finished run again has perhaps put more into its input. */
function unreadLines({ nothingToRead }: RunSummary, unread: readonly Unread[]): string[] {
  const lines = unread
    .filter(u => u.change !== undefined)
    .map(u => `  not read: ${u.split} (source ${u.source}) has changed since an earlier run read it to its end: ${u.change}`)
  if (nothingToRead) lines.unshift('  nothing was read: the input had already ended, in the run that this one goes on from')
  return lines.length === 0
    ? []
    : [...lines, '  (a new run, in another state directory or in none, and from no snapshot, reads everything)']
}

/** Since the run began, and in this process. */
function both(total: number, here: number, resumed: boolean): string {
  return resumed ? `${count(total)} since the run began, ${count(here)} in this process` : count(here)
}

function lateText({ late, total, resumed }: RunSummary): string {
  if (resumed) return `${both(total.late, late, true)}, dropped: they came too late; lateTo(tag) keeps them`
  return `${counted(late, 'record')} came too late and ${late === 1 ? 'was' : 'were'} dropped; lateTo(tag) keeps ${late === 1 ? 'it' : 'them'}`
}

/** Most pipelines have no sink for them: without a reason here, nobody would know of one. */
export function deadLettersText({
  deadLetters,
  firstDeadLetter,
  total,
  resumed,
}: Pick<RunSummary, 'deadLetters' | 'firstDeadLetter' | 'resumed'> & {
  readonly total: Pick<RunSummary['total'], 'deadLetters'>
}): string {
  const numbers = both(total.deadLetters, deadLetters, resumed)
  if (firstDeadLetter === undefined) return numbers
  const { reason, position } = firstDeadLetter
  const flat = reason.replace(/\s+/g, ' ')
  const short = flat.length > REASON_CHARS ? `${flat.slice(0, REASON_CHARS)}…` : flat
  return `${numbers}${deadLetters === 1 ? ': ' : ', the first: '}${short} (${position})`
}

/** The end of a run, for programs: a RunSummary and `unread`. Infinite watermarks are null. */
export function summaryJson(summary: RunSummary, unread: readonly Unread[] = []): string {
  const finite = (_: string, value: unknown) => (typeof value === 'number' && !Number.isFinite(value) ? null : value)
  return `${JSON.stringify({ ...summary, unread }, finite, 2)}\n`
}
