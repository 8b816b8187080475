/**
 * A window of time [start, end), epoch ms. The global window is -Infinity to Infinity. Its results carry the timestamp `end - 1`,
 * the last millisecond that belongs to it.
 */
export interface TimeWindow {
  /** Epoch ms, included. */
  readonly start: number
  /** Epoch ms, excluded. */
  readonly end: number
}

/** The window of `globalWindow()` and `countWindow()`: everything. */
export const GLOBAL_WINDOW: TimeWindow = { start: Number.NEGATIVE_INFINITY, end: Number.POSITIVE_INFINITY }

/** The last millisecond that belongs to the window: it has ended once the watermark is there. */
export function maxTimestamp(window: TimeWindow): number {
  return window.end - 1
}

/** Start of the cell that `time` lies in, of a grid with this width that passes through `offset`. */
export function alignDown(time: number, width: number, offset: number): number {
  const rest = (time - offset) % width
  return rest < 0 ? time - rest - width : time - rest
}

/** The greatest width, in ms, of which both size and slide are multiples: each window is made of whole panes. */
export function paneWidth(size: number, slide: number): number {
  return slide === 0 ? size : paneWidth(slide, size % slide)
}

/** When a pane begins, in ISO 8601: entries of panes are numbered. */
export function paneStart({ size, slide, offset }: { size: number; slide: number; offset: number }, number: number): string {
  return new Date(offset + number * paneWidth(size, slide)).toISOString()
}
