import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

test('nothing in the runtime but its AWS ports imports the SDK, so that no other bundle or start pays for it', () => {
  const root = join(import.meta.dirname, '../..')
  const importing = globSync('runtime/**/*.ts', { cwd: root }).filter(file =>
    /from '(@aws-sdk|@smithy)\//.test(loaded(readFileSync(join(root, file), 'utf8'))),
  )
  assert.ok(importing.length > 0)
  assert.deepEqual(
    importing.filter(file => !file.startsWith('runtime/aws/')),
    [],
  )
  // What the commands on a stack need is loaded when there is one; the simulator and the test kit, which are in no bundle, run the functions.
  const ports = globSync('runtime/**/*.ts', { cwd: root }).filter(file => !/^runtime\/(aws|sim|testing|cli\/stack)\//.test(file))
  for (const file of ports) assert.doesNotMatch(readFileSync(join(root, file), 'utf8'), /from '.*\/aws\//, file)
})

/** Without imports of types, of which nothing is left when it runs. */
function loaded(source: string): string {
  return source.replace(/^import type [^']*'[^']*'/gm, '')
}
