import { bytes, columns, count, counted, duration, rate, watermark } from '../format.ts'
import type { StageStatus, Status } from './status.ts'

/** A watermark this far behind the clock is that of old records: a lag would mean nothing. */
const LAG_MS_MAX = 86_400_000
const HEADINGS = ['stage', 'state', 'subtasks', 'records', 'a second', 'behind', 'watermark', 'lag', 'commits']

/** For people. `now`: epoch ms. */
export function statusText({ pipeline, run, stages, lastCheckpoint }: Status, now: number): string {
  if (run === undefined) {
    const states = columns([['stage', 'state'], ...stages.map(({ id, state }) => [id, state.toLowerCase()])])
    return `${pipeline}: none of its sources has had a record yet\n\n${states}\n${problemLines(stages)}`
  }
  const table = columns([HEADINGS, ...stages.map(stage => row(stage, now))])
  return `${pipeline}, run ${run}\n\n${table}\n\n${checkpointLine(lastCheckpoint, now)}\n${lossLine(stages)}${problemLines(stages)}`
}

function row(
  { id, state, subtasks, counts, recordsPerSecond, behindMs, behindRecords, watermark: at, versions }: StageStatus,
  now: number,
): string[] {
  const lag = at === null ? undefined : Math.max(0, now - at)
  return [
    id,
    state.toLowerCase(),
    count(subtasks),
    count(counts.recordsIn),
    rate(recordsPerSecond),
    behindMs !== null ? duration(behindMs) : behindRecords !== null ? counted(behindRecords, 'record') : '-',
    at === null ? '-' : watermark(at),
    lag === undefined || lag > LAG_MS_MAX ? '-' : duration(lag),
    count(versions),
  ]
}

function checkpointLine(last: Status['lastCheckpoint'], now: number): string {
  if (last === undefined) return 'no checkpoint yet'
  const { n, status, startedAt, completedAt, bytes: size, reason } = last
  const ago = `${duration(Math.max(0, now - completedAt))} ago`
  if (status !== 'complete') return `checkpoint ${n}: ${status} ${ago}: ${reason ?? 'no reason is on record'}`
  return `checkpoint ${n}: complete ${ago}, took ${duration(completedAt - startedAt)}, ${bytes(size)}`
}

function lossLine(stages: readonly StageStatus[]): string {
  const deadLetters = stages.reduce((sum, { counts }) => sum + counts.deadLetters, 0)
  const late = stages.reduce((sum, { counts }) => sum + counts.late, 0)
  const parts = [
    ...(deadLetters > 0 ? [counted(deadLetters, 'dead letter')] : []),
    ...(late > 0 ? [`${counted(late, 'record')} too late`] : []),
  ]
  return parts.length === 0 ? '' : `${parts.join(', ')}\n`
}

function problemLines(stages: readonly StageStatus[]): string {
  return stages
    .flatMap(({ id, problem }) =>
      problem === null ? [] : [`${id}: the last batch failed (${problem}); the log of its function says why\n`],
    )
    .join('')
}
