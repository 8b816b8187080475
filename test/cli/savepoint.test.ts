import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { directoryWith, millrace } from './cli.ts'
import { COUNTS, EVENTS, events } from './counts.ts'

const run = ['run', 'counts.ts', '--source', 'events=a.ndjson', '--checkpoint', '10ms', '--batch', '100', '--parallelism', '2']

test('a savepoint of a state directory outlives it: a run from it ends the same, with the same input; verified, listed and deleted', async () => {
  const cwd = directoryWith({ 'counts.ts': COUNTS, 'a.ndjson': events })
  const go = async (words: string[], code = 0) => {
    const result = await millrace(words, { cwd })
    assert.equal(result.code, code, result.err || result.out)
    return result
  }
  await go([...run, '--state', 's', '--out', 'o'])
  const whole = readFileSync(join(cwd, 'o/counts.ndjson'), 'utf8').split('\n')
  const listed = JSON.parse((await go(['checkpoints', 's', '--json'])).out) as { n: number; kept: boolean }[]
  const [oldest] = listed.filter(c => c.kept).map(c => c.n)
  const taken = JSON.parse((await go(['savepoint', 'create', `s@${oldest}`, '--to', 'all/one', '--json'])).out)
  assert.deepEqual([taken.path, taken.pipeline, taken.checkpoint], ['all/one', 'counts', oldest])
  assert.match(
    (await go(['savepoint', 'create', 's', '--to', 'all/two'])).out,
    /^savepoint of checkpoint \d+ of counts: all\/two \(2 files, [\d.]+ k?B\)\n$/,
  )
  rmSync(join(cwd, 's'), { recursive: true })

  assert.match(
    (await go(['savepoint', 'verify', 'all/one'])).out,
    new RegExp(`^all/one is whole: checkpoint ${oldest} of counts, 2 files, [\\d.]+ k?B, 7 entries of state\n$`),
  )
  const found = JSON.parse((await go(['savepoint', 'list', 'all', '--json'])).out) as { path: string; checkpoint: number }[]
  assert.deepEqual(
    found.map(({ path }) => path),
    ['all/one', 'all/two'],
  )
  await go([...run, '--from-snapshot', 'all/one', '--state', 't', '--out', 'p'])
  const rest = readFileSync(join(cwd, 'p/counts.ndjson'), 'utf8').split('\n')
  assert.ok(rest.length > 2 && rest.length < whole.length)
  const left = new Set(rest)
  assert.deepEqual(whole.filter(line => left.has(line)).sort(), [...rest].sort(), 'what came after it, each once')
  // Whole input again on top of the state: the counts go on from where the savepoint has them.
  await go([...run, '--from-snapshot', 'all/one', '--new-input', '--state', 'u', '--out', 'q'])
  const again = readFileSync(join(cwd, 'q/counts.ndjson'), 'utf8').trimEnd().split('\n')
  assert.equal(again.length, EVENTS)

  assert.match((await go(['savepoint', 'delete', 'all/one'])).out, /^all\/one is deleted \(3 files\)\n$/)
  assert.deepEqual(readdirSync(join(cwd, 'all')), ['two'])
  assert.equal((await go(['savepoint', 'list', 'all'])).out.trimEnd().split('\n').length, 2)
  const itself = (await go(['savepoint', 'list', 'all/two'])).out
  assert.match(itself, /^no savepoints below (.+), which is one itself: millrace savepoint inspect \1\n$/)
})

test('while a run is on, savepoints of its directory are whole', async () => {
  const cwd = directoryWith({ 'counts.ts': COUNTS, 'a.ndjson': events.repeat(20) })
  const running = millrace([...run, '--state', 's', '--out', 'o'], { cwd })
  let ended = false
  void running.then(() => {
    ended = true
  })
  let taken = 0
  for (let i = 0; !ended && taken < 5; i++) {
    const { code, err } = await millrace(['savepoint', 'create', 's', '--to', `p${i}`], { cwd })
    if (code !== 0) {
      assert.match(err, /there is no state directory s|holds no run|has no complete checkpoint yet/)
      continue
    }
    const verified = await millrace(['savepoint', 'verify', `p${i}`], { cwd })
    assert.equal(verified.code, 0, verified.err)
    taken++
  }
  assert.ok(taken > 0)
  assert.equal((await running).code, 0)
})

test('what is typed wrongly, or is not there, is one sentence and exit code 2; a savepoint that is not whole, its parts and exit code 1', async () => {
  const cwd = directoryWith({ 'counts.ts': COUNTS, 'a.ndjson': events, 'full/x': '', file: '' })
  assert.equal((await millrace([...run, '--state', 's', '--out', 'o'], { cwd })).code, 0)
  assert.equal((await millrace(['savepoint', 'create', 's', '--to', 'p'], { cwd })).code, 0)
  const mistakes: [string, RegExp][] = [
    ['savepoint', /millrace savepoint needs to be told what to do/],
    ['savepoint create s', /--to PATH is needed/],
    ['savepoint create', /needs DIR, .*, or --stack NAME in the place of DIR/],
    ['savepoint create none --to q', /there is no state directory none/],
    ['savepoint create s@99 --to q', /s has no checkpoint 99: it has kept \d/],
    ['savepoint create s --to full', /a savepoint needs a place of its own, and x is there already/],
    ['savepoint create s --to p', /a savepoint needs a place of its own, and _metadata is there already/],
    ['savepoint create s --to file', /file is a file, and a directory is needed there/],
    ['savepoint create s --to gs://b/k', /gs:\/\/b\/k: a savepoint lies in a directory, or in S3/],
    ['savepoint create s --to s3://bucket', /a bucket and a key are needed/],
    ['savepoint verify s', /s is a state directory, not a savepoint: millrace savepoint create s --to PATH takes one/],
    ['savepoint create p --to q', /p is a savepoint, not a state directory: millrace savepoint inspect p shows what is in it/],
    ['savepoint verify full', /there is no savepoint at full: it has no _metadata/],
    ['savepoint delete full', /there is no savepoint at full: it has no _metadata/],
    ['savepoint list none', /there is no directory none/],
    [
      [...run, '--from-snapshot', 'none'].join(' '),
      /--from-snapshot none: there is no none: name a savepoint, a state directory/,
    ],
    [[...run, '--from-snapshot', 'p@3'].join(' '), /a savepoint is of one checkpoint: leave @3 out/],
    [[...run, '--from-snapshot', 'p', '--state', 's'].join(' '), /s holds a run already, which did not begin with p/],
  ]
  for (const [words, sentence] of mistakes) {
    const { code, err } = await millrace([...words.split(' '), ...(words.startsWith('run') ? ['--out', 'o2'] : [])], { cwd })
    assert.equal(code, 2, `${words}: ${err}`)
    assert.match(err, sentence)
    assert.equal(err.trimEnd().split('\n').length, 1, err)
  }
  assert.ok(existsSync(join(cwd, 'full/x')) && !existsSync(join(cwd, 'q')))
  cpSync(join(cwd, 'p'), join(cwd, 'bad'), { recursive: true })
  const [segment] = readdirSync(join(cwd, 'bad/segments'))
  writeFileSync(join(cwd, 'bad/segments', segment!), 'x')
  mkdirSync(join(cwd, 'bad/notes'))
  const verified = await millrace(['savepoint', 'verify', 'bad'], { cwd })
  assert.deepEqual([verified.code, verified.out], [1, ''])
  assert.match(
    verified.err,
    new RegExp(`^millrace: bad is not whole:\n  segments/${segment} is damaged: it has 1 of \\d+ bytes\n$`),
  )
  cpSync(join(cwd, 'p'), join(cwd, 'garbled'), { recursive: true })
  writeFileSync(join(cwd, 'garbled/_metadata'), 'x')
  const garbled = await millrace(['savepoint', 'verify', 'garbled'], { cwd })
  assert.deepEqual([garbled.code, garbled.err], [1, 'millrace: garbled is not whole:\n  _metadata of garbled is no manifest\n'])
  const opened = await millrace([...run, '--from-snapshot', 'bad', '--out', 'o2'], { cwd })
  assert.equal(opened.code, 1)
  assert.ok(opened.err.includes(`segments/${segment} of bad is damaged`), opened.err)
  // One whose writing was cut off is in the way, and can be deleted; a directory that holds something else can't, though it has files of such names.
  for (const name of ['cut', 'other']) cpSync(join(cwd, 'p'), join(cwd, name), { recursive: true })
  for (const name of ['cut', 'other']) rmSync(join(cwd, name, '_metadata'))
  writeFileSync(join(cwd, 'other/mine'), '')
  const inTheWay = await millrace(['savepoint', 'create', 's', '--to', 'cut'], { cwd })
  assert.match(
    inTheWay.err,
    /a savepoint needs a place of its own, and segments\/\S+ is there already: .*millrace savepoint delete cut/,
  )
  assert.equal((await millrace(['savepoint', 'delete', 'cut'], { cwd })).code, 0)
  assert.ok(!existsSync(join(cwd, 'cut')))
  assert.match((await millrace(['savepoint', 'delete', 'other'], { cwd })).err, /there is no savepoint at other/)
  assert.ok(readdirSync(join(cwd, 'other/segments')).length > 0)
  // What is not part of it stays.
  assert.equal((await millrace(['savepoint', 'delete', 'bad'], { cwd })).code, 0)
  assert.deepEqual(readdirSync(join(cwd, 'bad')), ['notes'])
})
