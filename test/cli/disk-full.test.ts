import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { directoryWith, MILLRACE } from './cli.ts'

const SEEN = `
import { hash } from 'node:crypto'
import { map, monotonous, ndjson, pipeline, print } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'

const app = pipeline('seen')
app
  .source('events', ndjson(z.object({ user: z.string(), at: z.number() })), { time: e => e.at, watermark: monotonous() })
  .keyBy('user')
  .process({
    state: { seen: map<number, string>() },
    onRecord(e, { state }) {
      state.seen.set(e.at, hash('sha512', String(e.at)))
      return [e]
    },
  })
  .sink('seen', print())
export default app
`
const EVENTS = 20_000
const events = Array.from({ length: EVENTS }, (_, i) => `${JSON.stringify({ user: `u${i % 999}`, at: i })}\n`).join('')

/** Where a process may mount file systems of its own; nobody else sees them. */
const isPossible = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0
const skip = isPossible ? false : 'needs unshare(1) and a tmpfs'

/** Runs a script in which `disk` is a file system of its own, and `run DIR OUT` the pipeline. Gives what it printed. */
async function shell(cwd: string, script: string): Promise<string> {
  mkdirSync(join(cwd, 'disk'))
  const run = `run() { "${process.execPath}" "${MILLRACE}" run seen.ts --source events=events.ndjson --state "$1" --out "$2" --checkpoint 50ms; echo "exit $?"; }`
  const { stdout, stderr } = await promisify(execFile)('unshare', ['-rm', 'bash', '-c', `${run}\n${script}`], { cwd })
  return stdout + stderr
}

const rowsOf = (path: string) => readFileSync(path, 'utf8').trimEnd().split('\n').sort()
const expected = () => events.trimEnd().split('\n').sort()

test('a disk that is full of state ends the run with a sentence; with room again, the same command goes on, and nothing is lost or doubled', {
  skip,
}, async () => {
  for (const size of ['64k', '200k', '600k']) {
    const cwd = directoryWith({ 'seen.ts': SEEN, 'events.ndjson': events })
    const told = await shell(
      cwd,
      `mount -t tmpfs -o size=${size} none disk; run disk/state out; mount -o remount,size=200m disk; run disk/state out; cp -r disk/state kept`,
    )
    assert.match(
      told,
      /millrace: state directory \S+\/disk\/state failed: the disk is full\. Nothing that was committed is lost/,
      size,
    )
    assert.deepEqual(told.match(/exit \d/g), ['exit 1', 'exit 0'], `${size}: ${told}`)
    assert.deepEqual(rowsOf(join(cwd, 'out/seen.ndjson')), expected())
    rmSync(cwd, { recursive: true })
  }
})

test('so does one that is full of results', { skip }, async () => {
  const cwd = directoryWith({ 'seen.ts': SEEN, 'events.ndjson': events })
  const told = await shell(
    cwd,
    'mount -t tmpfs -o size=200k none disk; run state disk/out; mount -o remount,size=200m disk; run state disk/out; cp disk/out/seen.ndjson kept.ndjson',
  )
  assert.match(told, /millrace: the file sink disk\/out\/seen\.ndjson failed: the disk is full/)
  assert.deepEqual(told.match(/exit \d/g), ['exit 1', 'exit 0'], told)
  assert.deepEqual(rowsOf(join(cwd, 'kept.ndjson')), expected())
})

test('a read-only directory is told as a wrong argument, whether it is for state or for results', { skip }, async () => {
  const cwd = directoryWith({ 'seen.ts': SEEN, 'events.ndjson': events })
  const told = await shell(
    cwd,
    'mount -t tmpfs none disk; run disk/state disk/out; mount -o remount,ro disk; run disk/state out; run disk/new out; run state disk/new',
  )
  assert.deepEqual(told.match(/exit \d/g), ['exit 0', 'exit 2', 'exit 2', 'exit 2'], told)
  const sentences = told.split('\n').filter(line => line.startsWith('millrace: '))
  assert.equal(sentences.length, 3)
  for (const sentence of sentences)
    assert.match(sentence, /^millrace: --(state|out) disk\/\w+: can't write to \S+: the file system is read-only$/)
})
