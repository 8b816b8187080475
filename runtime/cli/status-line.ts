/** Between two lines where standard error is no terminal. */
const LINE_MS = 5_000

export interface StatusStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface StatusLine {
  /** `elapsedMs`: since the beginning of what goes on. */
  show(text: string, elapsedMs: number): void
  /** Removes the line, so that what follows starts on a clean one. */
  clear(): void
}

/** How something goes on: one line rewritten on a terminal, else a line every few seconds. */
export function statusLine(stream: StatusStream): StatusLine {
  let lastLine = 0
  return {
    show(text, elapsedMs) {
      if (stream.isTTY) {
        const width = (stream.columns || 120) - 1
        stream.write(`\r${text.length > width ? text.slice(0, width) : text}\u001b[K`)
      } else if (elapsedMs - lastLine >= LINE_MS) {
        lastLine = elapsedMs
        stream.write(`${text}\n`)
      }
    },
    clear() {
      if (stream.isTTY) stream.write('\r\u001b[K')
    },
  }
}
