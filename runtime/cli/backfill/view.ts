import type { BoundedProgress, BoundedSummary, StageProgress } from '../../batch/options.ts'
import { columns, count, counted, duration, rate } from '../format.ts'
import { type StatusStream, statusLine } from '../status-line.ts'
import { deadLettersText } from '../summary.ts'

/** How a backfill goes on. */
export function backfillView(stream: StatusStream) {
  const line = statusLine(stream)
  return {
    update: (progress: BoundedProgress) => line.show(backfillLine(progress), progress.elapsedMs),
    clear: line.clear,
  }
}

/** The stages that are under way, each with how far it is and how long it will take. */
export function backfillLine({ stages }: BoundedProgress): string {
  const through = stages.filter(s => s.fraction === 1).length
  const running = stages.filter(s => s.fraction < 1 && (s.running > 0 || s.done > 0))
  return [`stage ${Math.min(through + 1, stages.length)} of ${stages.length}`, ...running.map(stageText)].join('  ')
}

function stageText({ id, tasks, done, fraction, records, leftMs }: StageProgress): string {
  const left = leftMs === undefined ? '' : `, ${duration(leftMs)} left`
  return `${id}: ${Math.floor(fraction * 100)} %, ${done} of ${counted(tasks, 'task')} done, ${counted(records, 'record')}${left}`
}

/** The end of a backfill, for people. `targets`: where each sink wrote, where the command chose that. */
export function backfillText(summary: BoundedSummary, targets: Readonly<Record<string, string>>): string {
  const { events, elapsedMs, resumed } = summary
  const speed = resumed || elapsedMs === 0 ? '' : ` (${rate((events * 1000) / elapsedMs)}/s)`
  const lines = [
    `${summary.pipeline}: backfill ${summary.outcome}${resumed ? ' (resumed)' : ''} after ${duration(elapsedMs)}`,
    `  events        ${count(events)}${speed}`,
  ]
  if (summary.skippedFiles > 0) lines.push(`  not opened    ${counted(summary.skippedFiles, 'file')} in folders of another time`)
  for (const { id, subtasks } of summary.stages) if (subtasks === 0) lines.push(`  no input      ${id}: there is no file to read`)
  if (summary.deadLetters > 0) lines.push(`  dead letters  ${deadLettersText({ ...summary, total: summary, resumed: false })}`)
  for (const [name, records] of Object.entries(summary.sinks))
    lines.push(`  sink ${name}: ${counted(records, 'record')}${targets[name] ? ` to ${targets[name]}` : ''}`)
  const rows = summary.stages.map(s => [s.id, `${s.subtasks}`, count(s.recordsIn), count(s.recordsOut)])
  lines.push(columns([['stage', 'tasks', 'records in', 'records out'], ...rows]).replace(/^/gm, '  '))
  return `${lines.join('\n')}\n`
}
