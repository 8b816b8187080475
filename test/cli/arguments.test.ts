import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseArguments, positiveInteger } from '../../runtime/cli/parse.ts'
import { run } from '../../runtime/cli/run.ts'
import { keysOf } from '../../runtime/cli/state-get.ts'
import { suggest } from '../../runtime/suggest.ts'
import { directoryWith, MILLRACE, millrace } from './cli.ts'

/** What is typed, and the sentence that answers it. */
const REFUSED: readonly (readonly [words: string, sentence: RegExp])[] = [
  ['rnu', /there is no command 'rnu': did you mean run\?/],
  ['xyzzy', /there is no command 'xyzzy': there is run, plan, .*savepoint create, .* stop, start and fork/],
  ['state', /millrace state needs to be told what to do: there is state get/],
  ['state gte', /there is no command 'state gte': did you mean state get\?/],
  ['--verbos', /millrace has no flag --verbos before a command/],
  ['help rnu', /did you mean run\?/],
  ['run', /millrace run needs FILE, the TypeScript file whose default export is the pipeline: millrace run FILE/],
  [
    'run a.ts b.ts',
    /millrace run doesn't know what to do with 'b.ts' \(several files of one source: repeat --source NAME=PATH\)/,
  ],
  ['run a.ts --paralelism 3', /millrace run has no flag --paralelism: did you mean --parallelism\?/],
  ['run a.ts -x', /millrace run has no flag -x/],
  ['run a.ts --state --json', /--state needs a value: --state DIR/],
  ['run a.ts --state', /--state needs a value: --state DIR/],
  ['run a.ts --json=yes', /--json takes no value, but was given 'yes'/],
  ['run a.ts --state a --state b', /--state is given twice/],
  ['run a.ts --parallelism 0', /--parallelism 0: a whole number above 0 is needed/],
  ['run a.ts --parallelism 1.5', /--parallelism 1.5: a whole number above 0 is needed/],
  ['run a.ts --batch many', /--batch many: a whole number above 0 is needed/],
  ['run a.ts --checkpoint soon', /--checkpoint 'soon' is not a duration/],
  ['run a.ts --checkpoint 10', /--checkpoint 10: a unit is needed, such as 10s or 10ms/],
  ['run a.ts --checkpoint 0s', /--checkpoint '0s' must be more than 0/],
  ['run a.ts', /there is no file a.ts/],
  ['run .', /\. is a directory: name the file that declares the pipeline/],
  ['plan a.json', /there is no file a.json/],
  ['plan a.ts --json --mermaid', /--json and --mermaid can't both be printed/],
  ['checkpoints none', /there is no state directory none/],
  ['state get none op', /millrace state get needs KEY/],
  [
    'savepoint',
    /millrace savepoint needs to be told what to do: there is savepoint create, savepoint list, .* and savepoint delete/,
  ],
  ['savepoint lits', /there is no command 'savepoint lits': did you mean savepoint list\?/],
  ['state get none op k', /there is no state directory none/],
]

test('each mistake gets one sentence on standard error, nothing on standard output, and exit code 2', async () => {
  const cwd = directoryWith({})
  for (const [words, sentence] of REFUSED) {
    const { code, out, err } = await millrace(words.split(' '), { cwd })
    assert.match(err, sentence)
    assert.match(err, /^millrace: .*\n$/, `one line for: millrace ${words}`)
    assert.deepEqual({ code, out }, { code: 2, out: '' }, `millrace ${words}`)
  }
})

test('every command helps, alone and from the overview', async () => {
  const { code, out } = await millrace(['--help'])
  assert.equal(code, 0)
  for (const command of ['run', 'plan', 'state get', 'checkpoints', 'status', 'checkpoint', 'stop', 'start']) {
    assert.ok(out.includes(`\n  ${command} `), command)
    const help = await millrace([...command.split(' '), '--help'])
    assert.deepEqual([help.code, help.err], [0, ''])
    assert.doesNotMatch(help.out, /\b(runtime|infra|test|docs)\/\S+\.\w/, 'a file that an installed package does not have')
    assert.match(help.out, new RegExp(`Usage: millrace ${command} [A-Z \\[\\]]*\\[FLAGS\\]`))
    assert.equal((await millrace(['help', ...command.split(' ')])).out, help.out)
  }
  assert.equal((await millrace([])).out, out)
  assert.match((await millrace(['state', '--help'])).out, /Usage: millrace state get/)
  const { code: groupCode, out: group } = await millrace(['savepoint', '--help'])
  assert.equal(groupCode, 0)
  assert.match(
    group,
    /^Usage: millrace savepoint COMMAND \[FLAGS\]\n\nCommands:\n( {2}savepoint \w+ .*\n){6}\nmillrace savepoint COMMAND --help .*\n$/,
  )
  assert.equal((await millrace(['help', 'savepoint'])).out, group)
  assert.match((await millrace(['--version'])).out, /^\d+\.\d+\.\d+\n$/)
})

test('flags: repeated, short, with =, behind --', () => {
  const args = parseArguments(run, ['a.ts', '--source', 'x=1', '--source=x=2', '--json', '--parallelism', '4'])
  assert.deepEqual(args.positionals, ['a.ts'])
  assert.deepEqual(args.texts('source'), ['x=1', 'x=2'])
  assert.equal(args.has('json'), true)
  assert.equal(args.has('verbose'), false)
  assert.equal(positiveInteger(args, 'parallelism'), 4)
  assert.deepEqual(parseArguments(run, ['--', '--odd.ts']).positionals, ['--odd.ts'])
  assert.deepEqual(parseArguments(run, ['a.ts', '--sink', 'x=-']).texts('sink'), ['x=-'])
  assert.equal(parseArguments(run, ['-h']).has('help'), true)
})

test('suggestions are near or none', () => {
  assert.equal(suggest('clikcs', ['searches', 'clicks']), ': did you mean clicks?')
  assert.equal(suggest('--mermaids', ['--json', '--mermaid']), ': did you mean --mermaid?')
  assert.equal(suggest('zzz', ['searches', 'clicks']), ': there is searches and clicks')
  assert.equal(suggest('zzz', []), '')
})

test('a key on the command line is read as a number or tuple, then as a string', () => {
  assert.deepEqual(keysOf('u42'), ['u42'])
  assert.deepEqual(keysOf('42'), [42, '42'])
  assert.deepEqual(keysOf('"42"'), ['42'])
  assert.deepEqual(keysOf('["u",1]'), [['u', 1], '["u",1]'])
  assert.deepEqual(keysOf('true'), ['true'])
})

test('the launcher works through a symbolic link, and starts the package’s Node where the one on PATH is too old', () => {
  const link = join(directoryWith({}), 'millrace')
  symlinkSync(MILLRACE, link)
  assert.match(spawnSync(link, ['--version'], { encoding: 'utf8' }).stdout, /^\d/)
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find(node =>
    /^v(1\d|2[0-3])\./.test(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout ?? ''),
  )
  if (old === undefined) return
  const { status, stdout, stderr } = spawnSync(old, [link, 'rnu'], { encoding: 'utf8' })
  assert.deepEqual([status, stdout, stderr], [2, '', "millrace: there is no command 'rnu': did you mean run?\n"])
})
