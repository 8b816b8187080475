import type { Progress } from '../embedded/run-options.ts'
import { bytes, count, counted, duration, rate, watermark } from './format.ts'
import { type StatusLine, type StatusStream, statusLine } from './status-line.ts'

/** A watermark this far behind the clock is that of an old file: a lag would mean nothing. */
const LAG_MS_MAX = 86_400_000
/** The rate shown is that of about this long. */
const RATE_MS = 5_000

export interface ProgressView extends Pick<StatusLine, 'clear'> {
  update(progress: Progress): void
}

/** Shows how a run goes on. */
export function progressView(stream: StatusStream, now: () => number = Date.now): ProgressView {
  const samples: Progress[] = []
  const line = statusLine(stream)
  return {
    update(progress) {
      samples.push(progress)
      while (samples.length > 2 && progress.elapsedMs - samples[1]!.elapsedMs >= RATE_MS) samples.shift()
      line.show(progressLine(progress, samples[0]!, now()), progress.elapsedMs)
    },
    clear: line.clear,
  }
}

/** One line: events, rate since `since`, watermark, lag, checkpoints. */
export function progressLine(progress: Progress, since: Progress, now: number): string {
  const { events, deadLetters, checkpoints, backlogBytes } = progress
  const elapsed = progress === since ? progress.elapsedMs : progress.elapsedMs - since.elapsedMs
  const perSecond = (field: 'events' | 'results') =>
    elapsed > 0 ? ((progress[field] - (progress === since ? 0 : since[field])) * 1000) / elapsed : 0
  const parts = [counted(events, 'event')]
  const reading = perSecond('events')
  const writing = perSecond('results')
  // Sources that wait for later stages, or are through, would look stuck with a rate of 0.
  if (reading > 0 || (writing === 0 && backlogBytes === 0)) parts.push(`${rate(reading)}/s`)
  else if (writing > 0) parts.push(`${rate(writing)} results/s`)
  parts.push(`watermark ${watermark(progress.watermark)}`)
  const lag = Math.max(0, now - progress.watermark)
  if (lag <= LAG_MS_MAX && Number.isFinite(progress.watermark)) parts.push(`lag ${duration(lag)}`)
  if (backlogBytes > 0) parts.push(`${bytes(backlogBytes)} waiting for later stages`)
  parts.push(
    `${counted(checkpoints.completed, 'checkpoint')}${checkpoints.failed > 0 ? ` (${count(checkpoints.failed)} failed)` : ''}`,
  )
  if (deadLetters > 0) parts.push(counted(deadLetters, 'dead letter'))
  return parts.join('  ')
}
