import { type Measured, type OwnMeasured, perCpuSecond, perSecond } from './measured.ts'

/** One query: ours, and Flink's where it was run; undefined: that API has no such query. */
export interface Row {
  readonly query: string
  readonly ours: OwnMeasured
  /** The same as a backfill, where it was run. */
  readonly bounded?: OwnMeasured
  readonly flink?: { readonly ds: Measured | undefined; readonly sql: Measured | undefined }
}

/** Ours by the better of Flink's, in events a CPU-second. */
export function ratio({ ours, flink }: Row): number | undefined {
  const theirs = [flink?.ds, flink?.sql].flatMap(m => (m === undefined ? [] : [perCpuSecond(m)]))
  return theirs.length === 0 ? undefined : perCpuSecond(ours) / Math.max(...theirs)
}

/** As Markdown. */
export function table(rows: readonly Row[]): string {
  const versus = rows.some(r => r.flink !== undefined)
  const head = ['query', 'events/s', 'events/CPU-s', 'peak MB', 'GC', 'checkpoints']
  const flinkHead = [
    'Flink DS events/CPU-s',
    'SQL events/CPU-s',
    'ratio',
    'seconds',
    "Flink's",
    'with its start',
    "Flink's",
    'Flink peak MB',
  ]
  const bounded = rows.some(r => r.bounded !== undefined)
  const boundedHead = ['backfill events/CPU-s', 'by streaming', 'backfill peak MB']
  const lines = rows.map(row => [...own(row), ...(bounded ? asBackfill(row) : []), ...(versus ? theirs(row) : [])])
  const all = [[...head, ...(bounded ? boundedHead : []), ...(versus ? flinkHead : [])], ...lines]
  return markdown(all)
}

/** Rows of cells, the first of them the head; all columns but the first are numbers. */
export function markdown(all: readonly (readonly string[])[]): string {
  const widths = all[0]!.map((_, i) => Math.max(...all.map(line => line[i]!.length)))
  const text = all.map(
    line => `| ${line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`,
  )
  text.splice(1, 0, `|${widths.map((w, i) => (i === 0 ? '-'.repeat(w + 2) : `${'-'.repeat(w + 1)}:`)).join('|')}|`)
  return text.join('\n')
}

function own({ query, ours }: Row): string[] {
  const gc = `${Math.round(ours.gcShare * 100)} %`
  return [query, thousands(perSecond(ours)), thousands(perCpuSecond(ours)), megabytes(ours.peakMb), gc, String(ours.checkpoints)]
}

function asBackfill({ ours, bounded }: Row): string[] {
  const speed = perCpuSecond(bounded!)
  return [thousands(speed), (speed / perCpuSecond(ours)).toFixed(2), megabytes(bounded!.peakMb)]
}

function theirs(row: Row): string[] {
  const { ds, sql } = row.flink!
  const times = ratio(row)
  const both = [ds, sql].flatMap(m => m ?? [])
  const peaks = both.flatMap(m => m.peakMb ?? [])
  /** Ours, and the shorter of Flink's. */
  const onTheClock = (of: (m: Measured) => number) => [
    of(row.ours).toFixed(1),
    both.length === 0 ? '–' : Math.min(...both.map(of)).toFixed(1),
  ]
  return [
    ds === undefined ? '–' : thousands(perCpuSecond(ds)),
    sql === undefined ? '–' : thousands(perCpuSecond(sql)),
    times === undefined ? '–' : times.toFixed(2),
    ...onTheClock(m => m.seconds),
    ...onTheClock(m => m.processSeconds),
    peaks.length === 0 ? '?' : megabytes(Math.min(...peaks)),
  ]
}

const thousands = (n: number) => `${Math.round(n / 1000)} k`
const megabytes = (n: number | undefined) => (n === undefined ? '?' : String(Math.round(n)))
