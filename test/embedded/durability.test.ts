import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readDatabase } from '../../runtime/embedded/durable.ts'
import { StateCorruptError, StateDirectoryInUseError } from '../../runtime/embedded/errors.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { startWriter } from './child.ts'
import { written } from './written.ts'

const ROUNDS = 12
const LIFE_MS_MAX = 250

describe('an embedded state directory', () => {
  let root: string
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'millrace-durability-'))
  })
  after(() => rm(root, { recursive: true }))

  test('holds everything acknowledged, whenever its process is killed', async () => {
    const directory = join(root, 'killed')
    let acknowledged = -1
    for (let round = 0; round < ROUNDS; round++) {
      const writer = startWriter(directory, acknowledged + 1)
      // Every third round dies around the opening of the store, the others while they write.
      if (round % 3 > 0) await writer.said(10)
      await sleep(Math.random() * LIFE_MS_MAX)
      await writer.kill()
      acknowledged = Math.max(acknowledged, Number(writer.lines.filter(line => line !== 'open').at(-1) ?? -1))

      const ports = await openEmbedded({ directory })
      const { stream, log, store, blobs, replaced } = await written(ports)
      for (const [port, end] of Object.entries({ stream, log, store })) {
        assert.ok(end > acknowledged, `round ${round}: ${port} has ${end}, ${acknowledged} was acknowledged`)
        assert.ok(end <= acknowledged + 2, `round ${round}: ${port} has ${end}, which was never sent`)
      }
      for (const end of [blobs, replaced])
        assert.ok(acknowledged < 0 || end > Math.floor(acknowledged / 10), `round ${round}: ${end} objects`)
      await ports.close()
    }
    assert.ok(acknowledged > 50, `only ${acknowledged} writes in ${ROUNDS} rounds: the test shows nothing`)
  })

  // What a power loss does under synchronous = normal: the end of the write-ahead log never reached the disk.
  test('goes back to an earlier moment, the same for all ports, when the end of its write-ahead log is lost', async () => {
    const directory = join(root, 'power')
    // Replacing a large object syncs the log before the old file goes: no power loss would cut it before that.
    const writer = startWriter(directory, 0, false)
    await writer.said(200)
    await writer.kill()
    const bytes = (await stat(join(directory, 'state.db-wal'))).size
    let ends: number[] = []
    for (let cut = 0; cut < 8; cut++) {
      const copy = join(root, `power-${cut}`)
      await cp(directory, copy, { recursive: true })
      await truncate(join(copy, 'state.db-wal'), Math.floor(Math.random() * bytes))
      await bootAnew(copy)
      const ports = await openEmbedded({ directory: copy })
      const { stream, log, store } = await written(ports)
      assert.ok(stream >= log && log >= store && stream - store <= 1, `one moment: ${[stream, log, store]}`)
      ends.push(store)
      await ports.close()
    }
    ends = ends.sort((a, b) => a - b)
    assert.ok(ends.at(-1)! > ends[0]!, 'different cuts leave different moments')
  })

  test('is refused, also to who only reads, when the write-ahead log of a process that was killed is damaged or cut off', async () => {
    const directory = join(root, 'wal')
    const writer = startWriter(directory, 0, false)
    await writer.said(200)
    await writer.kill()
    const bytes = await readFile(join(directory, 'state.db-wal'))
    const onCopy = (work: (copy: string) => Promise<void>) => async (how: (wal: string) => Promise<void>) => {
      const copy = join(root, 'wal-copy')
      await cp(directory, copy, { recursive: true })
      try {
        await how(join(copy, 'state.db-wal'))
        await work(copy)
      } finally {
        await rm(copy, { recursive: true })
      }
    }
    const open = onCopy(async copy => (await openEmbedded({ directory: copy })).close())
    const reading = onCopy(async copy => {
      // By several at once, as one that compares checkpoints.
      const readers = [readDatabase(copy)!, readDatabase(copy)!]
      for (const reader of readers) reader.close()
      await (await openEmbedded({ directory: copy })).close()
    })
    await open(async () => {}) // as it is, it is good
    await reading(async () => {})
    // Who reads first would make a new index of what is left, and the next one to open it find nothing amiss.
    const refused = async (how: (wal: string) => Promise<void>, works = [open, reading]) => {
      for (const work of works)
        await assert.rejects(work(how), (error: Error) => {
          assert.ok(error instanceof StateCorruptError, error.stack)
          assert.match(error.message, /its write-ahead log lacks what was committed, or fails its checksums/)
          return true
        })
    }
    // At its very end there may be what was not committed.
    for (let i = 0; i < 30; i++) {
      const flipped = Buffer.from(bytes)
      flipped[Math.floor(Math.random() * bytes.length * 0.9)]! ^= 1 << (i % 8)
      await refused(wal => writeFile(wal, flipped), i < 25 ? [open] : [reading])
    }
    for (const part of [0, 0.3, 0.99]) await refused(wal => truncate(wal, Math.floor(bytes.length * part)))
    await refused(wal => rm(wal))
  })

  test('refuses a second process, saying who has it, until the first one dies', async () => {
    const directory = join(root, 'shared')
    const writer = startWriter(directory)
    await writer.said(5)
    await assert.rejects(openEmbedded({ directory }), error => {
      assert.ok(error instanceof StateDirectoryInUseError)
      assert.equal(error.owner?.pid, writer.child.pid)
      assert.match(error.message, new RegExp(`process ${writer.child.pid} `))
      assert.equal(error.retryable, true)
      return true
    })
    await writer.said(writer.lines.length + 20) // the refusal didn't disturb it
    await writer.kill()
    const ports = await openEmbedded({ directory })
    assert.ok((await written(ports)).log > 20)
    await ports.close()
  })

  test('refuses a second process as long as the first lives, also when somebody has removed its lock', async () => {
    const directory = join(root, 'unlocked')
    const writer = startWriter(directory)
    await writer.said(5)
    await rm(join(directory, 'state.lock'))
    await assert.rejects(openEmbedded({ directory }), error => {
      assert.ok(error instanceof StateDirectoryInUseError)
      assert.equal(error.owner?.pid, writer.child.pid)
      return true
    })
    await writer.said(writer.lines.length + 20)
    await writer.kill()
    const ports = await openEmbedded({ directory })
    assert.ok((await written(ports)).log > 20)
    await ports.close()
  })

  test('refuses to be opened twice in one process, and not after close', async () => {
    const directory = join(root, 'twice')
    const first = await openEmbedded({ directory })
    await assert.rejects(openEmbedded({ directory }), StateDirectoryInUseError)
    await first.log.putIfAbsent('l', 1, new Uint8Array([1]))
    await first.close()
    await first.close()
    const second = await openEmbedded({ directory })
    assert.deepEqual(await second.log.get('l', 1), new Uint8Array([1]))
    await second.close()
  })

  test('never gives a position again, though everything was trimmed before it was closed', async () => {
    const directory = join(root, 'trimmed')
    const first = await openEmbedded({ directory })
    for (let i = 0; i < 3; i++) await first.streams.put('s', 0, new Uint8Array(10))
    await first.streams.trim('s', 0, '0000000000000003')
    await first.close()
    const second = await openEmbedded({ directory })
    assert.equal(await second.streams.put('s', 0, new Uint8Array(10)), '0000000000000004')
    await second.close()
  })
})

/** As if the machine had been started again since. */
async function bootAnew(directory: string): Promise<void> {
  const file = join(directory, 'owner.json')
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), boot: 'another' }))
}
