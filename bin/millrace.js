#!/usr/bin/env node
// Plain JavaScript that old Nodes can read too: it finds a Node that runs TypeScript, and leaves the rest to runtime/cli.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NODE_MIN = 24
const UNHELPFUL = [
  // The embedded engine's store.
  'SQLite is an experimental feature',
  // Of a pipeline file in a project that names no "type".
  "is not specified and it doesn't parse as CommonJS",
]

const here = dirname(realpathSync(fileURLToPath(import.meta.url)))
if (Number(process.versions.node.split('.')[0]) >= NODE_MIN) await start()
else restart(findNode(here) ?? findNode(process.cwd()))

async function start() {
  // Any other warning is shown.
  const emitWarning = process.emitWarning
  process.emitWarning = (warning, ...rest) => {
    if (!UNHELPFUL.some(words => String(warning).includes(words))) emitWarning.call(process, warning, ...rest)
  }
  await keepCompiled()
  // Started by `restart`: a killed launcher must not leave a run behind that nobody sees.
  if (process.env.MILLRACE_LAUNCHED && process.channel) {
    process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
    process.channel.unref()
  }
  // In the repository the sources run as they are; an installed package has what was built of them (scripts/pack.ts).
  const source = join(here, '../runtime/cli/main.ts')
  const built = join(here, '../dist/runtime/cli/main.js')
  const { main } = await import(pathToFileURL(existsSync(source) ? source : built).href)
  process.exit(await main(process.argv.slice(2)))
}

/**
 * What is compiled of the sources is kept for the next run, which begins a third of a second sooner. Threads look for it where the environment says. It is kept where only this user writes: Node's own
 * place for it, in the directory for temporary files, may be another's, and what lies there is run.
 */
async function keepCompiled() {
  const { enableCompileCache } = await import('node:module')
  const cache = process.env.NODE_COMPILE_CACHE || cacheDirectory()
  if (cache === undefined) return
  const { directory } = enableCompileCache(cache)
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ||= directory
}

/** Undefined: there is no place for it, as with a user without a home, or it is not this user's alone. */
function cacheDirectory() {
  try {
    const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
    const own = join(caches, 'millrace')
    for (const directory of [caches, own]) if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 })
    if (process.getuid === undefined) return own
    const { uid, mode } = statSync(own)
    return uid === process.getuid() && (mode & 0o022) === 0 ? own : undefined
  } catch {
    return undefined
  }
}

/** The Node of an `npm install` (the package `node`), in this directory or above. */
function findNode(directory) {
  const candidate = join(directory, 'node_modules', '.bin', 'node')
  if (existsSync(candidate)) return candidate
  return dirname(directory) === directory ? undefined : findNode(dirname(directory))
}

function restart(node) {
  if (node === undefined || process.env.MILLRACE_LAUNCHED) {
    console.error(
      `millrace needs Node ${NODE_MIN} or later, and this is ${process.version}: install it, or run \`npm install node@${NODE_MIN}\` here.`,
    )
    process.exit(2)
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, MILLRACE_LAUNCHED: '1' },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    if (signal !== null) {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    } else process.exit(code ?? 1)
  })
}
