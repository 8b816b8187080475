// What `npm start` runs. Plain JavaScript for any Node: it installs what is missing, and leaves the rest to run.ts under a Node that reads TypeScript.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_MIN = 24
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const own = join(root, 'node_modules', '.bin', 'node')

install()
if (Number(process.versions.node.split('.')[0]) >= NODE_MIN) await start()
else restart()

/** npm writes this file last: without it an installation was never finished. */
function install() {
  if (existsSync(join(root, 'node_modules', '.package-lock.json'))) return
  console.error('First start: installing what Millrace needs (npm ci) …')
  const { status, error } = spawnSync('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  console.error(`npm ci failed${error ? `: ${error.message}` : ''}. Run it in ${root}, and then npm start again.`)
  process.exit(1)
}

async function start() {
  // Node's own words about its SQLite; any other warning is shown.
  const emitWarning = process.emitWarning
  process.emitWarning = (warning, ...rest) => {
    if (!/SQLite is an experimental feature/.test(String(warning))) emitWarning.call(process, warning, ...rest)
  }
  // Started by `restart`: a killed launcher must not leave a run behind that nobody sees.
  if (process.env.MILLRACE_LAUNCHED && process.channel) {
    process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
    process.channel.unref()
  }
  const { main } = await import('./run.ts')
  process.exit(await main(process.argv.slice(2)))
}

function restart() {
  if (!existsSync(own) || process.env.MILLRACE_LAUNCHED) {
    console.error(`Millrace needs Node ${NODE_MIN}, and this is ${process.version}. npm ci brings one along: run it in ${root}.`)
    process.exit(2)
  }
  const child = spawn(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, MILLRACE_LAUNCHED: '1' },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
