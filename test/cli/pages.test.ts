import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, readFileSync, symlinkSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { directoryWith, MILLRACE } from './cli.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** `npx millrace …`, without npm's start. */
const NPX = `#!/bin/sh\nshift\nexec "${process.execPath}" "${MILLRACE}" "$@"\n`
const HOUR = 3_600_000

test('the commands of docs/savepoints.md run as they stand there', { timeout: 120_000 }, async () => {
  const { out } = await follow(blocks('docs/savepoints.md', 'sh')[0]!, { 'views.ndjson': views(1.7e12, 5000, 200) })
  assert.match(out, /savepoint of checkpoint \d+ of views: savepoints\/monday /)
  assert.match(out, /^ {2}window-\w+ +event timers +\d/m)
  assert.match(out, /^savepoints\/tuesday is whole: /m)
  assert.match(out, /^they differ$/m)
  assert.match(out, /^savepoints\/monday is deleted /m)
})

test('the commands of docs/backfill.md for one machine run as they stand there', { timeout: 120_000 }, async () => {
  const [anyArchive, thenLive] = blocks('docs/backfill.md', 'sh') as [string, string]
  const handover = Date.UTC(2026, 1, 1)
  const day = (from: number) => views(from, 48, HOUR / 2)
  const { out, cwd } = await follow(`${anyArchive}\n${thenLive}`, {
    'archive/2026/01/31/a.ndjson': day(handover - 24 * HOUR),
    'archive/2026/02/01/a.ndjson': day(handover),
    'stream.ndjson': day(handover - 12 * HOUR) + day(handover + 12 * HOUR),
  })
  // Records are counted where they leave, before they are added up, and of the handover's run from its own beginning.
  assert.match(out, /^ {2}source-views +\d+ +96 +96$/m)
  assert.match(out, /^ {2}events +96 since the run began, 96 in this process/m)
  const rows = (path: string) =>
    readFileSync(join(cwd, path, 'top.ndjson'), 'utf8')
      .trim()
      .split('\n').length
  assert.match(
    out,
    new RegExp(`^  results +${rows('from-then-on')} since the run began, ${rows('from-then-on')} in this process`, 'm'),
  )
  assert.equal(
    rows('before') + rows('from-then-on'),
    rows('results') + 24 * 5,
    'the stream has twelve hours more, in five windows each',
  )
})

/** In a new directory with the README's first pipeline. */
async function follow(commands: string, files: Readonly<Record<string, string>>): Promise<{ out: string; cwd: string }> {
  const cwd = directoryWith({ 'views.ts': blocks('README.md', 'ts')[0]!, 'bin/npx': NPX, ...files })
  symlinkSync(join(ROOT, 'node_modules'), join(cwd, 'node_modules'))
  chmodSync(join(cwd, 'bin/npx'), 0o755)
  const env = { ...process.env, PATH: `${join(cwd, 'bin')}${delimiter}${process.env.PATH}` }
  const { stdout } = await promisify(execFile)('sh', ['-ec', commands], { cwd, env, maxBuffer: 1 << 26 })
  return { out: stdout, cwd }
}

function blocks(path: string, language: string): string[] {
  return [...readFileSync(join(ROOT, path), 'utf8').matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(m => m[1]!)
}

function views(from: number, count: number, apart: number): string {
  const view = (i: number) => ({ user: `u${i % 50}`, item: `i${(i * i) % 37}`, at: from + i * apart })
  return Array.from({ length: count }, (_, i) => `${JSON.stringify(view(i))}\n`).join('')
}
