import type { Idle, Row } from './main.ts'

/** As Markdown: what a month costs, and where Flink is cheaper. */
export function table(rows: readonly Row[], idle: readonly Idle[]): string {
  const head = [
    'pipeline',
    'events/s',
    'window',
    'state',
    '$/month',
    '$/million events',
    'Managed Flink $/month',
    'KPUs',
    'cheaper',
  ]
  const body = rows.map(r => [
    r.pipeline,
    r.rate.toLocaleString('en-US'),
    `${r.windowSeconds} s`,
    r.stateBackend,
    r.month.toFixed(2),
    dollars(r.perMillionEvents),
    r.flinkMonth.toFixed(2),
    `${r.flinkKpus} + 1`,
    r.month < r.flinkMonth ? 'Millrace' : 'Flink',
  ])
  const idleBody = idle.map(i => [
    i.pipeline,
    'idle',
    '',
    '',
    i.month.toFixed(2),
    '',
    i.flinkMonth.toFixed(2),
    '1 + 1',
    'Millrace',
  ])
  return markdown([head, ...idleBody, ...body])
}

/** What a batch takes, and where the money goes. */
export function noted(rows: readonly Row[]): string {
  const head = [
    'pipeline',
    'events/s',
    'window',
    'state',
    'subtasks',
    'events/commit',
    'units/commit',
    'beside state',
    'state B/event',
    'ms/batch',
    'transitions',
    'Kinesis',
    'Lambda',
    'DynamoDB',
    'S3',
    'Step Functions',
    'CloudWatch',
  ]
  return `\n${markdown([head, ...rows.map(figures)])}`
}

function figures({ pipeline, rate, windowSeconds, stateBackend, simulated, bill }: Row): string[] {
  const { stages, events, taking } = simulated
  const all = (figure: 'commits' | 'commitUnits' | 'commitUnitsBesideState' | 'stateBytes' | 'billedMs' | 'invocations') =>
    stages.reduce((n, s) => n + s.usage[figure], 0)
  const ofSources = stages.filter(s => s.source).reduce((n, s) => n + s.usage.commits, 0)
  return [
    pipeline,
    rate.toLocaleString('en-US'),
    `${windowSeconds} s`,
    stateBackend,
    stages.map(s => s.subtasks).join(' + '),
    (events / ofSources).toFixed(0),
    (all('commitUnits') / all('commits')).toFixed(2),
    (all('commitUnitsBesideState') / all('commits')).toFixed(2),
    (all('stateBytes') / events).toFixed(1),
    (all('billedMs') / all('invocations')).toFixed(0),
    taking.length === 0 ? '–' : (taking.reduce((n, t) => n + t.transitions, 0) / taking.length).toFixed(1),
    ...[bill.kinesis, bill.lambda, bill.dynamodb, bill.s3, bill.stepFunctions, bill.cloudWatch + bill.scheduler].map(d =>
      d.toFixed(2),
    ),
  ]
}

const dollars = (n: number) => (n < 0.1 ? n.toFixed(4) : n.toFixed(2))

function markdown(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map(line => line[i]!.length)))
  const text = lines.map(
    line => `| ${line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`,
  )
  text.splice(1, 0, `|${widths.map((w, i) => (i === 0 ? '-'.repeat(w + 2) : `${'-'.repeat(w + 1)}:`)).join('|')}|`)
  return text.join('\n')
}
