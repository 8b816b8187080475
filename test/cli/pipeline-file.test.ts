import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'

const TYPES = `
import { pipeline } from 'millrace'
type Event: 1 = 1
`

/** A file, and the sentence that answers \`millrace run\` on it. */
const FILES: Readonly<Record<string, readonly [content: string, sentence: RegExp]>> = {
  'syntax.ts': ['const a = 1\nconst b = = 2\n', /^millrace: syntax.ts(:2)? has a syntax error: /],
  'types.ts': [TYPES, /^millrace: types.ts(:3)? has a syntax error: /],
  'enum.ts': ['export enum A { B }\n', /^millrace: enum.ts(:1)? has a syntax error: .*enum/],
  'throws.ts': [
    "const x: number = 1\nthrow new Error('no luck')\n",
    /^millrace: throws.ts:2 threw when it was imported: no luck/,
  ],
  'string.ts': ["throw 'words'\n", /^millrace: string.ts threw words when it was imported/],
  'missing.ts': [
    "import 'left-pad-of-millrace'\n",
    /^millrace: missing.ts imports something that can't be found: .*left-pad-of-millrace/,
  ],
  'relative.ts': ["import './none.ts'\n", /^millrace: relative.ts imports something that can't be found: .*none\.ts/],
  'empty.ts': ['', /^millrace: empty.ts doesn't export a pipeline: end it with `export default app`/],
  'other.ts': ['export default { graph: 3 }\n', /^millrace: other.ts doesn't export a pipeline/],
  'nothing.ts': [
    "import { pipeline } from 'millrace'\nexport default pipeline('p')\n",
    /^millrace: nothing.ts: pipeline 'p': it has no source/,
  ],
  'refused.ts': [
    "import { pipeline } from 'millrace'\nexport default pipeline('a b')\n",
    /^millrace: refused.ts: pipeline 'a b': its name can't be used/,
  ],
}

test('a file that is no pipeline gets one sentence and exit code 2, from run and from plan', async () => {
  const cwd = directoryWith(Object.fromEntries(Object.entries(FILES).map(([name, [content]]) => [name, content])))
  for (const [name, [, sentence]] of Object.entries(FILES)) {
    for (const command of ['run', 'plan']) {
      const { code, out, err } = await millrace([command, name], { cwd })
      assert.match(err, sentence)
      assert.match(err, /^[^\n]*\n$/, `one line for ${name}: ${err}`)
      assert.deepEqual({ code, out }, { code: 2, out: '' }, name)
    }
  }
})

test('--verbose adds the stack of what the file threw', async () => {
  const cwd = directoryWith({ 'throws.ts': FILES['throws.ts']![0] })
  assert.match((await millrace(['run', 'throws.ts', '--verbose'], { cwd })).err, /caused by: Error: no luck\n +at .*throws.ts:2/)
})

test('a pipeline without a sink is refused: nothing would come of it', async () => {
  const source = `import { monotonous, ndjson, pipeline } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'
const app = pipeline('p')
app.source('events', ndjson(z.unknown()), { time: () => 0, watermark: monotonous() }).map(e => e)
export default app
`
  const cwd = directoryWith({ 'p.ts': source, 'a.ndjson': '{}\n' })
  const { code, err } = await millrace(['run', 'p.ts', '--source', 'events=a.ndjson'], { cwd })
  assert.equal(code, 2, err)
  assert.match(err, /p\.ts: the pipeline has no sink.*\.sink\('name', print\(\)\)/)
})

test('a file beside another copy of millrace runs with the one that the command belongs to', async () => {
  const source = `import { value } from 'millrace'
import { monotonous, ndjson, pipeline, print } from 'millrace'
import { z } from '${import.meta.resolve('zod')}'
const app = pipeline('p')
app.source('events', ndjson(z.object({ at: z.number() })), { time: e => e.at, watermark: monotonous() })
  .keyBy('at').process({ state: { n: value<number>() }, onRecord: e => [e] }).sink('out', print())
export default app
`
  const cwd = directoryWith({
    'p.ts': source,
    'a.ndjson': '{"at":1}\n',
    'node_modules/millrace/package.json': '{"name":"millrace","type":"module","exports":"./index.js"}',
    'node_modules/millrace/index.js': "throw new Error('the other copy')",
  })
  const { code, out, err } = await millrace(['run', 'p.ts', '--source', 'events=a.ndjson'], { cwd })
  assert.equal(code, 0, err)
  assert.match(out, /"at":1/)
})
