import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OwnMeasured, RunSettings } from './measured.ts'

/** Compiled code is kept from one run to the next, as bin/millrace.js has it kept. */
const CACHE = { NODE_COMPILE_CACHE: join(tmpdir(), 'millrace-compile-cache') }

/** Runs a query in a process of its own. */
export async function runOurs(settings: RunSettings): Promise<OwnMeasured> {
  const output = await outputOf(process.execPath, [join(import.meta.dirname, 'one-run.ts'), JSON.stringify(settings)], CACHE)
  return JSON.parse(output)
}

/** What a command prints; its errors go to ours. @throws Error when it fails */
export function outputOf(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  let output = ''
  let errors = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  child.stderr.on('data', chunk => {
    errors += chunk
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(`${output}${errors}`)
      else reject(new Error(`${command} ${args.join(' ')} ended with ${signal ?? code}:\n${errors.trim() || output.trim()}`))
    })
  })
}
