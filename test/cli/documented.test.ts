import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const texts = globSync(['README.md', '{docs,examples,bench}/**/*.{md,ts}'], { cwd: root })

test('documented commands call no Node that may be too old, and the files that they name are there', () => {
  let commands = 0
  for (const text of texts) {
    for (const [command, npx, file] of readFileSync(join(root, text), 'utf8').matchAll(/(npx )?\bnode ([a-z][\w/-]+\.ts)/g)) {
      assert.ok(npx, `${text}: ${command}`)
      assert.ok(existsSync(join(root, file!)), `${text}: ${command}`)
      commands++
    }
  }
  assert.ok(commands >= 4)
})

test('the generator runs with an old Node first on PATH', t => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find(node =>
    /^v(1\d|2[0-3])\./.test(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout ?? ''),
  )
  if (old === undefined) return t.skip('there is no old Node here')
  const env = { ...process.env, PATH: `${dirname(old)}${delimiter}${process.env.PATH}` }
  const generator = ['node', 'examples/recommendations/generator.ts', '--users', '2', '--minutes', '1', '--rate', '1']
  const { status, stdout, stderr } = spawnSync('npx', generator, { cwd: root, env, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^\{"user_id":/)
})
