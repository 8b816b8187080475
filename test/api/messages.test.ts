import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

const FIELDS = '"item_id" \\| "n" \\| "user_id"'

/** Mistakes that people make most, each with all that tsc may say about it. */
const mistakes: [mistake: string, says: RegExp][] = [
  ["events.keyBy('usr')", new RegExp(`'"usr"' is not assignable to parameter of type '${FIELDS} \\| .*=> Key\\)`)],
  ["events.keyBy('event_id')", new RegExp(`'"event_id"' is not assignable to parameter of type '${FIELDS} \\|`)],
  ["events.keyBy(['user_id', 'usr'])", new RegExp(`Type '"usr"' is not assignable to type '${FIELDS}'`)],
  ['events.keyBy(e => ({ user: e.user_id }))', /Type '\{ readonly user: string; \}' is not assignable to type 'Key'/],
  ['events.keyBy(e => e.event_id)', /Type 'undefined' is not assignable to type 'Key'/],
  ["users.latest().keyBy('usr')", new RegExp(`'"usr"' is not assignable to parameter of type '${FIELDS} \\|`)],
  [
    'users.connect(numbers).process({ onFirst: e => [e.n], onSecond: e => [e.n] }).map(n => n + 1)',
    /'KeyedStream<.*, number>' is not assignable to parameter of type 'KeyedStream<.*, string>'/,
  ],
]

test('what tsc says of the commonest mistakes says what would be right, once', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-'))
  const lines = [
    `import { monotonous, ndjson, pipeline } from '${path('../../runtime/index.ts')}'`,
    `import { anything } from '${path('../graph/pipelines.ts')}'`,
    'interface Event { user_id: string; item_id: string; n: number; done: boolean; event_id?: string }',
    "const events = pipeline('x').source('e', ndjson(anything<Event>()), { time: e => e.n, watermark: monotonous() })",
    "const users = events.keyBy('user_id'); const numbers = events.keyBy('n')",
  ]
  writeFileSync(join(directory, 'mistakes.mts'), [...lines, ...mistakes.map(([mistake]) => mistake)].join('\n'))
  writeFileSync(
    join(directory, 'tsconfig.json'),
    JSON.stringify({
      extends: path('../../tsconfig.json'),
      compilerOptions: { typeRoots: [path('../../node_modules/@types')] },
      include: [],
      files: ['mistakes.mts'],
    }),
  )
  const tsc = path('../../node_modules/.bin/tsc')
  const said = await new Promise<string>(resolve =>
    execFile(tsc, ['-p', directory, '--pretty', 'false'], (_, out) => resolve(out)),
  )
  const errors = said.split(/^(?=\S)/m)
  mistakes.forEach(([mistake, says], i) => {
    const at = errors.filter(error => error.includes(`mistakes.mts(${lines.length + i + 1},`))
    assert.equal(at.length, 1, `${mistake}\n${said}`)
    assert.match(at[0]!, says, mistake)
  })
  assert.equal(errors.length, mistakes.length, said)
})
