import assert from 'node:assert/strict'
import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
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
