import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { diskCache } from '../../runtime/aws/functions/disk-cache.ts'
import { readBase, writeBase } from '../../runtime/checkpoint/base.ts'
import { openLogBase } from '../../runtime/checkpoint/log-base.ts'
import { joinAddress } from '../../runtime/snapshot/item.ts'
import { addRun, type Runs, RunWriter } from '../../runtime/snapshot/runs.ts'
import { SegmentCache } from '../../runtime/snapshot/segment-cache.ts'
import { type AwsFixture, openAwsFixture, withoutLocalStack } from './resources.ts'

const KEYS = 12_000
const log = 'run/stage/0'
const pk = (i: number) => `op|k${String(i).padStart(6, '0')}`

describe('state in segments', { skip: withoutLocalStack }, () => {
  let fixture: AwsFixture
  before(async () => {
    fixture = await openAwsFixture([], 1)
  })
  after(() => fixture?.close())

  test('is read from parts of objects of S3, as the marker of DynamoDB names them, and what was read before from the disk', async () => {
    const { ports } = fixture
    let runs: Runs = []
    for (let n = 0; n < 3; n++) {
      const writer = new RunWriter(ports, `segments/${log}/${n}`)
      for (let i = n; i < KEYS; i += n + 1) {
        const value = n === 2 && i % 5 === 0 ? undefined : Buffer.from(`${i} of run ${n} `.repeat(12))
        await writer.add({ address: joinAddress(pk(i), 'v|n'), value })
      }
      runs = await addRun(ports, `segments/${log}/${n}`, runs, await writer.finish())
    }
    await writeBase(ports.store, log, { version: 7, runs, checkpoint: 3 })
    await writeBase(ports.store, log, { version: 7, runs: [], checkpoint: 4 })
    assert.deepEqual(await readBase(ports.store, log), { version: 7, runs, checkpoint: 3 }, 'the first of two counts')

    const disk = diskCache()
    const open = (bytesMax: number) => {
      const backend = { kind: 'segments', cache: new SegmentCache({ bytesMax, disk }) } as const
      return openLogBase(backend, ports, { run: 'run', log, view: () => 7 })
    }
    const base = open(1_000_000)
    const asked = Array.from({ length: 300 }, (_, i) => i * 41)
    const expected = asked.map(i => {
      if (i >= KEYS) return undefined
      const n = i >= 2 && (i - 2) % 3 === 0 ? 2 : i % 2 === 1 ? 1 : 0
      return n === 2 && i % 5 === 0 ? undefined : `${i} of run ${n} `.repeat(12)
    })
    const read = async () => {
      const found = await base.batchGet(asked.map(i => ({ pk: `run|${pk(i)}`, sk: 'v|n' })))
      // What was deleted may be there as that, or not at all, when runs were merged as a whole.
      return found.map(item => item?.value && Buffer.from(item.value).toString())
    }
    assert.deepEqual(await read(), expected)
    const before = ports.stats()['s3.GetObject.calls']!
    assert.deepEqual(await read(), expected)
    const again = open(0)
    const [item] = await again.range(`run|${pk(41)}`, 'v|', 'v|~', 10)
    assert.equal(item?.v, 7)
    assert.equal(ports.stats()['s3.GetObject.calls'], before, 'the disk has what memory has not')
    await disk.close()
  })
})
