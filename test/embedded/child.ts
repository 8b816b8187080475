import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

export interface Writer {
  readonly child: ChildProcess
  /** What it has said so far, line by line; complete once `killed` has resolved. */
  readonly lines: string[]
  /** Resolves when it has said so many lines. */
  said(lines: number): Promise<void>
  /** SIGKILL, and wait for its end. */
  kill(): Promise<void>
}

export function startWriter(directory: string, first = 0, replaces = true): Writer {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), directory, `${first}`, `${replaces}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  const lines: string[] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop()!
    lines.push(...parts)
    child.emit('lines')
  })
  return {
    child,
    lines,
    async said(count) {
      while (lines.length < count)
        await Promise.race([once(child, 'lines'), closed.then(() => Promise.reject(new Error('the writer ended')))])
    },
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
  }
}
