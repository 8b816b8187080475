import type { Progress } from '../embedded/run-options.ts'
import { bytes, count, duration, rate, watermark } from './format.ts'

/** Between two lines where standard error is no terminal. */
const LINE_MS = 5_000
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
  const perSecond = elapsed > 0 ? ((events - (progress === since ? 0 : since.events)) * 1000) / elapsed : 0
  const parts = [`${count(events)} events`, `${rate(perSecond)}/s`, `watermark ${watermark(progress.watermark)}`]
  if (Number.isFinite(progress.watermark)) parts.push(`lag ${duration(Math.max(0, now - progress.watermark))}`)
  if (backlogBytes > 0) parts.push(`${bytes(backlogBytes)} waiting`)
  parts.push(`${count(checkpoints.completed)} checkpoints${checkpoints.failed > 0 ? ` (${checkpoints.failed} failed)` : ''}`)
  if (deadLetters > 0) parts.push(`${count(deadLetters)} dead letters`)
  return parts.join('  ')
}
