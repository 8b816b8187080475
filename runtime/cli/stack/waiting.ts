import { duration } from '../format.ts'

/** Between two lines where standard error is no terminal. */
const LINE_MS = 10_000

/** Says what is waited for: one line rewritten on a terminal, else a line now and then. */
export function waiting(stream: { isTTY?: boolean; write(text: string): unknown }) {
  let lastLine = 0
  return {
    update(elapsedMs: number, what: string): void {
      const text = `${what} (${duration(elapsedMs)})`
      if (stream.isTTY) stream.write(`\r${text}\u001b[K`)
      else if (elapsedMs - lastLine >= LINE_MS) {
        lastLine = elapsedMs
        stream.write(`${text}\n`)
      }
    },
    clear(): void {
      if (stream.isTTY) stream.write('\r\u001b[K')
    },
  }
}
