import assert from 'node:assert/strict'
import { chmodSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'

const PIPELINE = `
import { monotonous, ndjson, pipeline, print } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'

const app = pipeline('same')
app
  .source('numbers', ndjson(z.number()), { time: n => n, watermark: monotonous() }).keyBy(n => n).process({ state: {}, onRecord: n => [n] }).sink('out', print())
export default app
`

test('what is compiled is kept for the next run, of threads too', async () => {
  const cwd = directoryWith({ 'pipeline.ts': PIPELINE, 'a.ndjson': '1\n', 'cache/none': '' })
  const kept = () => readdirSync(join(cwd, 'cache/millrace'), { recursive: true }).length
  const run = async (...options: string[]) => {
    const env = { XDG_CACHE_HOME: join(cwd, 'cache'), NODE_COMPILE_CACHE: '', NODE_DISABLE_COMPILE_CACHE: undefined }
    const { code, err } = await millrace(['run', 'pipeline.ts', '--source', 'numbers=a.ndjson', ...options], { cwd, env })
    assert.equal(code, 0, err)
    return kept()
  }
  const first = await run()
  assert.ok(first > 100, `${first} files`)
  assert.ok((await run()) <= first * 1.1, 'the next run compiles anew')
  assert.ok((await run('--parallelism', '2', '--threads', '2')) > first, 'nothing of threads is kept')
})

test('without a place for it nothing is kept, and all works', async () => {
  const cwd = directoryWith({ file: '' })
  for (const caches of [join(cwd, 'file'), '/proc/none', join(cwd, 'none/none')]) {
    const { code, err } = await millrace(['--version'], {
      cwd,
      env: { XDG_CACHE_HOME: caches, NODE_COMPILE_CACHE: '' },
      timeoutMs: 20_000,
    })
    assert.equal(code, 0, err)
  }
})

test('nothing is kept where others write too: it would be run', { skip: process.getuid === undefined }, async () => {
  const cwd = directoryWith({ 'cache/millrace/none': '' })
  const own = join(cwd, 'cache/millrace')
  for (const [mode, kept] of [
    [0o777, false],
    [0o700, true],
  ] as const) {
    chmodSync(own, mode)
    const { code, err } = await millrace(['--version'], {
      cwd,
      env: { XDG_CACHE_HOME: join(cwd, 'cache'), NODE_COMPILE_CACHE: '' },
    })
    assert.equal(code, 0, err)
    assert.equal(readdirSync(own).length > 1, kept)
  }
})
