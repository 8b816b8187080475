import type { Difference } from './differences.ts'
import type { SoakOptions } from './options.ts'

/** How far a run is. */
export interface Progress {
  readonly events: number
  /** Events that are committed by the source's stage. */
  readonly fed: number
  readonly kills: number
  /** Executions of the checkpoints' state machine that succeeded, and others. */
  readonly complete: number
  readonly failed: number
}

export interface SoakReport {
  readonly options: SoakOptions
  readonly events: number
  /** Of each sink, as they should be. */
  readonly rows: Readonly<Record<string, number>>
  /** From the first put until all of it is in the results. */
  readonly seconds: number
  /** By function. */
  readonly kills: Readonly<Record<string, number>>
  /** Calls that LocalStack throttled, by operation. */
  readonly throttled: Readonly<Record<string, number>>
  readonly answersLost: number
  /** Of functions to services, those that LocalStack answered. */
  readonly calls: number
  readonly checkpoints: { readonly complete: number; readonly failed: number }
  readonly invocations: number
  /** Killed, out of time, or thrown: what they were invoked with comes again. */
  readonly failedInvocations: number
  /** Sums of what the functions count in their logs. */
  readonly metrics: Readonly<Record<string, number>>
  readonly deadLetters: number
  readonly differences: readonly Difference[]
}

const DIFFERENCES_MAX = 20

export const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0)

export function reportText(report: SoakReport): string {
  const { events, seconds, options, checkpoints, metrics } = report
  const lines: [string, string][] = [
    ['events', `${events}, ${options.minutes} minutes of event time`],
    ['results', `${sum(report.rows)} (${listed(report.rows)})`],
    [
      'time',
      `${Math.round(seconds)} s: ${(events / seconds).toFixed(1)} events a second, ${((options.minutes * 60) / seconds).toFixed(1)} times as fast as they happened`,
    ],
    ['kills', `${sum(report.kills)}${sum(report.kills) > 0 ? ` (${listed(report.kills)})` : ''}`],
    ['throttled', `${sum(report.throttled)} of LocalStack's own (${listed(report.throttled)})`],
    ['answers lost', `${report.answersLost} of ${report.calls} calls`],
    ['checkpoints', `${checkpoints.complete} complete, ${checkpoints.failed} failed`],
    ['invocations', `${report.invocations}, of which ${report.failedInvocations} failed and were made again`],
    [
      'done again',
      `${metrics.Replays} records and frames came again, ${metrics.LostRaces} attempts lost to another, ${metrics.Aborts} aborts were written`,
    ],
    ['dead letters', String(report.deadLetters)],
    [
      'differences',
      report.differences.length === 0 ? 'none: every record of every sink is as it should be' : String(report.differences.length),
    ],
  ]
  const width = Math.max(...lines.map(([name]) => name.length))
  const differ = report.differences
    .slice(0, DIFFERENCES_MAX)
    .map(d => `  ${d.sink}: ${d.found} times instead of ${d.wanted}: ${d.row}`)
  if (report.differences.length > DIFFERENCES_MAX) differ.push(`  and ${report.differences.length - DIFFERENCES_MAX} more`)
  return [...lines.map(([name, text]) => `${name.padEnd(width)}  ${text}`), ...differ].join('\n')
}

export function progressText({ events, fed, kills, complete, failed }: Progress, seconds: number): string {
  return `${Math.round(seconds)} s: ${fed} of ${events} events taken, ${kills} kills, checkpoints: ${complete} complete, ${failed} failed`
}

const listed = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
