import type { RunSummary } from '../embedded/run-options.ts'
import { columns, count, counted, duration, rate, watermark } from './format.ts'

/** Of a dead letter's reason: a schema may name many issues. */
const REASON_CHARS = 300

/** The end of a run, for people. `targets`: where each sink wrote, where the command chose that. */
export function summaryText(summary: RunSummary, targets: Readonly<Record<string, string>>): string {
  const { events, elapsedMs, checkpoints, deadLetters } = summary
  const lines = [
    `${summary.pipeline} ${summary.outcome}${summary.resumed ? ' (resumed)' : ''} after ${duration(elapsedMs)}`,
    `  events        ${count(events)} (${rate(elapsedMs > 0 ? (events * 1000) / elapsedMs : 0)}/s)`,
    `  watermark     ${watermark(summary.watermark)}`,
    `  checkpoints   ${checkpoints.completed} completed, ${checkpoints.failed} failed${checkpoints.last > 0 ? `, the last is ${checkpoints.last}` : ''}`,
  ]
  if (deadLetters > 0) lines.push(`  dead letters  ${deadLettersText(summary)}`)
  if (summary.late > 0)
    lines.push(
      `  late          ${counted(summary.late, 'record')} came too late and ${summary.late === 1 ? 'was' : 'were'} dropped; lateTo(tag) keeps ${summary.late === 1 ? 'it' : 'them'}`,
    )
  for (const [name, records] of Object.entries(summary.sinks)) {
    lines.push(`  sink ${name}: ${counted(records, 'record')}${targets[name] ? ` to ${targets[name]}` : ''}`)
  }
  if (summary.stages.length > 0) {
    const rows = summary.stages.map(s => [s.id, `${s.subtasks}`, count(s.commits), count(s.recordsIn), count(s.recordsOut)])
    const stages = columns([['stage', 'subtasks', 'commits', 'records in', 'records out'], ...rows])
    lines.push(stages.replace(/^/gm, '  '))
  }
  return `${lines.join('\n')}\n`
}

/** Most pipelines have no sink for them: without a reason here, nobody would know of one. */
function deadLettersText({ deadLetters, firstDeadLetter }: RunSummary): string {
  if (firstDeadLetter === undefined) return count(deadLetters)
  const { reason, position } = firstDeadLetter
  const flat = reason.replace(/\s+/g, ' ')
  const short = flat.length > REASON_CHARS ? `${flat.slice(0, REASON_CHARS)}…` : flat
  return `${count(deadLetters)}${deadLetters === 1 ? ': ' : ', the first: '}${short} (${position})`
}

/** The end of a run, for programs: infinite watermarks are null. */
export function summaryJson(summary: RunSummary): string {
  return `${JSON.stringify(summary, (_, value) => (typeof value === 'number' && !Number.isFinite(value) ? null : value), 2)}\n`
}
