import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, cp, mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { StateClosedError, StateCorruptError, StateFormatError } from '../../runtime/embedded/errors.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { FORMAT } from '../../runtime/embedded/schema.ts'
import { MillraceError } from '../../runtime/errors.ts'
import { noise } from '../conformance/data.ts'

describe('an embedded state directory that cannot be trusted is refused by name, and left as it is', () => {
  let root: string
  let good: string
  let copies = 0
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'millrace-damage-'))
    good = join(root, 'good')
    const ports = await openEmbedded({ directory: good })
    for (let i = 0; i < 200; i++) await ports.log.putIfAbsent('l', i, noise(1000, i + 1))
    await ports.blobs.put('large', noise(200_000))
    await ports.close()
  })
  after(() => rm(root, { recursive: true }))

  async function damaged(how: (directory: string) => Promise<void>): Promise<string> {
    const directory = join(root, `copy-${copies++}`)
    await cp(good, directory, { recursive: true })
    await how(directory)
    return directory
  }

  async function refused(directory: string, error: typeof StateCorruptError | typeof StateFormatError): Promise<void> {
    const read = () => readFile(join(directory, 'state.db')).catch(() => undefined)
    const earlier = await read()
    for (let i = 0; i < 2; i++) {
      await assert.rejects(openEmbedded({ directory }), raised => {
        assert.ok(raised instanceof error, String(raised))
        assert.ok(raised instanceof MillraceError)
        assert.equal(raised.retryable, false)
        assert.equal(raised.name, error.name)
        assert.match(raised.message, new RegExp(directory))
        assert.match(raised.message, /choose another directory, which starts from the beginning of the input$/)
        return true
      })
    }
    assert.deepEqual(await read(), earlier)
  }

  const overwrite = async (directory: string, position: number, bytes: number) => {
    const file = await open(join(directory, 'state.db'), 'r+')
    await file.write(noise(bytes, 99), 0, bytes, position)
    await file.close()
  }

  const execute = (directory: string, sql: string) => {
    const db = new DatabaseSync(join(directory, 'state.db'))
    db.exec(sql)
    db.close()
  }

  test('its header is garbage', async () => refused(await damaged(directory => overwrite(directory, 0, 100)), StateCorruptError))
  test('its middle is garbage', async () =>
    refused(await damaged(directory => overwrite(directory, 40_000, 30_000)), StateCorruptError))
  test('its database is empty', async () =>
    refused(await damaged(directory => truncate(join(directory, 'state.db'), 0)), StateCorruptError))
  test('its database was cut in half', async () =>
    refused(await damaged(directory => truncate(join(directory, 'state.db'), 100_000)), StateCorruptError))
  test('its database is a text', async () =>
    refused(await damaged(directory => writeFile(join(directory, 'state.db'), 'hello '.repeat(5000))), StateCorruptError))

  test('its database is gone and the write-ahead log remains', async () => {
    const directory = await damaged(async directory => {
      await rm(join(directory, 'state.db'))
      await writeFile(join(directory, 'state.db-wal'), noise(5000))
    })
    await refused(directory, StateCorruptError)
    assert.ok((await readdir(directory)).includes('state.db-wal'))
  })

  for (const [which, version] of [
    ['a later', FORMAT + 1],
    ['an earlier', FORMAT - 1],
  ] as const)
    test(`it has ${which} format`, async () =>
      refused(await damaged(async directory => execute(directory, `pragma user_version = ${version}`)), StateFormatError))
  test('a table of it has another form', async () =>
    refused(
      await damaged(async directory => execute(directory, 'alter table slots rename column item to thing')),
      StateCorruptError,
    ))
  test("it is another program's database", async () =>
    refused(await damaged(async directory => execute(directory, 'pragma application_id = 7')), StateFormatError))

  for (const [which, how] of [
    ['lost its file', (file: string) => rm(file)],
    ['lost a part of it', (file: string) => truncate(file, 1000)],
  ] as const)
    test(`a large object ${which}`, async () => {
      const directory = await damaged(async directory => {
        for (const file of await readdir(join(directory, 'blobs'))) await how(join(directory, 'blobs', file))
      })
      await refused(directory, StateCorruptError)
    })

  test('a large object that loses its file later is an error when it is read', async () => {
    const directory = await damaged(async () => {})
    const ports = await openEmbedded({ directory })
    for (const file of await readdir(join(directory, 'blobs'))) await rm(join(directory, 'blobs', file))
    await assert.rejects(ports.blobs.get('large'), StateCorruptError)
    assert.deepEqual(await ports.blobs.list(''), ['large'])
    await ports.close()
  })

  test('files that no object names, left by a kill, are cleared away', async () => {
    const directory = await damaged(directory => writeFile(join(directory, 'blobs', 'orphan'), 'x'))
    const ports = await openEmbedded({ directory })
    assert.equal((await readdir(join(directory, 'blobs'))).length, 1)
    await ports.blobs.put('large', noise(300_000))
    await ports.blobs.delete('large')
    await ports.close()
    assert.deepEqual(await readdir(join(directory, 'blobs')), [])
    assert.deepEqual((await readdir(directory)).sort(), ['blobs', 'state.db', 'state.lock'])
  })

  test('a copy that nobody may write to can be read, when its process has closed it', async t => {
    const directory = await damaged(async directory => {
      for (const name of [...(await readdir(directory)), '.']) await chmod(join(directory, name), name === '.' ? 0o555 : 0o444)
      await chmod(root, 0o755)
    })
    const reader = `import { readDatabase } from '${join(import.meta.dirname, '../../runtime/embedded/durable.ts')}'
      const db = readDatabase('${directory}')
      console.log(db.prepare('select count(*) from slots').get()[0])
      db.close()`
    // Root may write anywhere.
    const asNobody = process.getuid!() === 0 ? { uid: 65_534, gid: 65_534 } : {}
    const { status, stdout, stderr, error } = spawnSync(process.execPath, ['--input-type=module', '-e', reader], {
      ...asNobody,
      encoding: 'utf8',
    })
    await chmod(directory, 0o755)
    const isHidden = (error as NodeJS.ErrnoException | undefined)?.code === 'EACCES' || /EACCES/.test(stderr)
    if ('uid' in asNobody && isHidden) return t.skip('nobody else may read this repository')
    assert.equal(status, 0, stderr)
    assert.equal(stdout.trim(), '200')
    assert.deepEqual((await readdir(directory)).sort(), ['blobs', 'state.db', 'state.lock'])
  })

  test('calls on closed ports are refused', async () => {
    const ports = await openEmbedded()
    await ports.close()
    await assert.rejects(ports.log.get('l', 1), StateClosedError)
    await assert.rejects(ports.blobs.put('b', noise(1)), StateClosedError)
    await assert.rejects(ports.streams.poll('s', 0, undefined, 1), StateClosedError)
  })
})
