import type { Progress } from '../embedded/run-options.ts'
import { bytes, count, counted, duration, rate, watermark } from './format.ts'

/** Between two lines where standard error is no terminal. */
const LINE_MS = 5_000
/** A watermark this far behind the clock is that of an old file: a lag would mean nothing. */
const LAG_MS_MAX = 86_400_000
/** The rate shown is that of about this long. */
const RATE_MS = 5_000

export interface ProgressView {
  update(progress: Progress): void
  /** Removes the line, so that what follows starts on a clean one. */
  clear(): void
}

/** Shows how a run goes on: one line rewritten on a terminal, else a line every few seconds. */
export function progressView(
  stream: { isTTY?: boolean; columns?: number; write(text: string): unknown },
  now: () => number = Date.now,
): ProgressView {
  const samples: Progress[] = []
  let lastLine = 0
  return {
    update(progress) {
      samples.push(progress)
      while (samples.length > 2 && progress.elapsedMs - samples[1]!.elapsedMs >= RATE_MS) samples.shift()
      const text = progressLine(progress, samples[0]!, now())
      if (stream.isTTY) {
        const width = (stream.columns || 120) - 1
        stream.write(`\r${text.length > width ? text.slice(0, width) : text}\u001b[K`)
      } else if (progress.elapsedMs - lastLine >= LINE_MS) {
        lastLine = progress.elapsedMs
        stream.write(`${text}\n`)
      }
    },
    clear() {
      if (stream.isTTY) stream.write('\r\u001b[K')
    },
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
