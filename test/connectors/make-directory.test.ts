import assert from 'node:assert/strict'
import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { makeDirectory } from '../../runtime/connectors/make-directory.ts'

test('a directory is made with its parents, and may be there already', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'millrace-mkdir-')), 'a', 'b', 'c')
  makeDirectory(path)
  makeDirectory(path)
  assert.ok(statSync(path).isDirectory())
  writeFileSync(join(path, 'file'), '')
  for (const refused of [join(path, 'file'), join(path, 'file', 'below')])
    assert.throws(() => makeDirectory(refused), /EEXIST|ENOTDIR/)
})

test('where the file system makes none, it fails and does not try for ever', { skip: process.platform !== 'linux' }, () => {
  for (const path of ['/proc/none', '/proc/none/below']) assert.throws(() => makeDirectory(path), { code: 'ENOENT' })
})

test('threads that make the same directory at the same time all find it made', async () => {
  const root = mkdtempSync(join(tmpdir(), 'millrace-mkdir-'))
  const code = `
    const { workerData: { root, turns, threads } } = require('node:worker_threads')
    import(${JSON.stringify(new URL('../../runtime/connectors/make-directory.ts', import.meta.url).href)}).then(({ makeDirectory }) => {
      for (let turn = 0; turn < 300; turn++) {
        Atomics.add(turns, turn, 1)
        while (Atomics.load(turns, turn) < threads) {}
        makeDirectory(root + '/' + turn + '/b/c')
      }
    })`
  const turns = new Int32Array(new SharedArrayBuffer(300 * 4))
  const workers = [0, 1].map(() => new Worker(code, { eval: true, workerData: { root, turns, threads: 2 } }))
  const ended = workers.map(
    worker =>
      new Promise<void>((resolve, reject) => {
        worker.on('error', reject).on('exit', () => resolve())
      }),
  )
  try {
    await Promise.all(ended)
  } finally {
    // Who waits for one that has died waits for ever.
    for (const worker of workers) await worker.terminate()
  }
  for (let turn = 0; turn < 300; turn++) assert.ok(statSync(join(root, `${turn}`, 'b/c')).isDirectory())
})
