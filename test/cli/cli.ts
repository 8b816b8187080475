import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The launcher, as npm links it. */
export const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))

export interface Result {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Call {
  readonly input?: string
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What it has to say on stderr before it is killed. */
  readonly until?: RegExp
  /** It is killed then, and has no code. */
  readonly timeoutMs?: number
}

/** Runs the command to its end. */
export function millrace(args: readonly string[], options: Call = {}): Promise<Result> {
  const child = spawn(process.execPath, [MILLRACE, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
  })
  let out = ''
  let err = ''
  child.stdout.on('data', data => {
    out += data
  })
  child.stderr.on('data', data => {
    err += data
    if (options.until?.test(err)) child.kill('SIGKILL')
  })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  return new Promise(resolve => child.on('close', code => resolve({ code, out, err })))
}

const root = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
let directories = 0

/** A directory with these files in it. */
export function directoryWith(files: Readonly<Record<string, string>>): string {
  const directory = join(root, `${directories++}`)
  mkdirSync(directory)
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
  return directory
}
