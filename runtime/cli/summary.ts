import type { RunSummary } from '../embedded/run-options.ts'
import { columns, count, duration, rate, watermark } from './format.ts'

/** The end of a run, for people. `targets`: where each sink wrote, where the command chose that. */
export function summaryText(summary: RunSummary, targets: Readonly<Record<string, string>>): string {
  const { events, elapsedMs, checkpoints, deadLetters } = summary
  const lines = [
    `${summary.pipeline} ${summary.outcome}${summary.resumed ? ' (resumed)' : ''} after ${duration(elapsedMs)}`,
    `  events        ${count(events)} (${rate(elapsedMs > 0 ? (events * 1000) / elapsedMs : 0)}/s)${deadLetters > 0 ? `, ${count(deadLetters)} dead letters` : ''}`,
    `  watermark     ${watermark(summary.watermark)}`,
    `  checkpoints   ${checkpoints.completed} completed, ${checkpoints.failed} failed${checkpoints.last > 0 ? `, the last is ${checkpoints.last}` : ''}`,
  ]
  if (summary.late > 0)
    lines.push(`  late          ${count(summary.late)} records came too late and were dropped; lateTo(tag) keeps them`)
  for (const [name, records] of Object.entries(summary.sinks)) {
    lines.push(`  sink ${name}: ${count(records)} records${targets[name] ? ` to ${targets[name]}` : ''}`)
  }
  if (summary.stages.length > 0) {
    const rows = summary.stages.map(s => [s.id, `${s.subtasks}`, count(s.commits), count(s.recordsIn), count(s.recordsOut)])
    const stages = columns([['stage', 'subtasks', 'commits', 'records in', 'records out'], ...rows])
    lines.push(stages.replace(/^/gm, '  '))
  }
  return `${lines.join('\n')}\n`
}

/** The end of a run, for programs: infinite watermarks are null. */
export function summaryJson(summary: RunSummary): string {
  return `${JSON.stringify(summary, (_, value) => (typeof value === 'number' && !Number.isFinite(value) ? null : value), 2)}\n`
}
