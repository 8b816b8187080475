import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { s3Blobs } from '../../runtime/aws/blobs.ts'
import { caller } from '../../runtime/aws/call.ts'
import { openClients } from '../../runtime/aws/clients.ts'
import { meters } from '../../runtime/aws/meter.ts'
import { runBounded } from '../../runtime/batch/run.ts'
import { systemClock as clock, systemRandom as random } from '../../runtime/embedded/clock.ts'
import { fileSink } from '../../runtime/index.ts'
import { write } from '../batch/both.ts'
import { scratch, sortedLines } from '../engine/events.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { visibleRows } from '../functions/embedded-world.ts'
import { generate, handover, visits } from '../functions/visits.ts'
import { deploy, destroy, type StackSource } from './cdk.ts'
import { openDeployed } from './deployed.ts'
import { millrace, millraceUntil } from './millrace.ts'
import { stackExists } from './remains.ts'
import { clientOptions, withoutLocalStack } from './resources.ts'

const source: StackSource = { stack: 'Past', app: 'test/localstack/stacks/past-app.ts' }
const SINKS = ['pages', 'rejected']

const backfill = (words: readonly string[], until?: RegExp) => millraceUntil(until, 'backfill', '--stack', 'Past', ...words)

describe('millrace backfill --stack', { skip: withoutLocalStack }, () => {
  const { s3, close } = openClients(clientOptions)
  const call = caller({ clock, random, meters: meters() })
  // Three files, of which the last one has what is no record.
  const [lines] = generate(6000, 1) as [string[]]
  const files = [lines.slice(4000), lines.slice(0, 2000), [...lines.slice(2000, 4000), 'no JSON']]
  let outputs: Record<string, string>
  let archive: string
  let results: string
  before(async () => {
    if (await stackExists(source.stack)) await destroy(source)
    outputs = await deploy(source)
    archive = outputs.ArchiveBucket!
    results = outputs.ResultsBucket!
    for (const [i, file] of files.entries()) {
      const text = file.map(line => `${line}\n`).join('')
      const Body = i === 0 ? gzipSync(text) : text
      await s3.send(new PutObjectCommand({ Bucket: archive, Key: `in/date=2023-11-14/${i}.ndjson`, Body }))
    }
  })
  after(async () => {
    close()
    await destroy(source)
  })

  const rowsOf = async (sink: string, run: string) =>
    (await visibleRows(s3Blobs(s3, results, 'out/', call, random), `${sink}/run=${run}/`)).map(row => JSON.stringify(row)).sort()

  test('what lies in S3, by a Distributed Map: as embedded; killed and typed again, it is the same one', async t => {
    const dir = scratch(t)
    const from = ['--from', `s3://${archive}/in`, '--yes', '--json']
    const unasked = await backfill(['--from', `s3://${archive}/in`])
    assert.equal(unasked.code, 2)
    assert.match(
      unasked.err,
      /^visits: backfill [0-9a-f]{20}\nreads [\d.]+ kB in 3 files, by 7 tasks, at most 100 at a time\ncosts about less than \$0\.01/,
    )
    const killed = await backfill([...from, '--name', 'past'], /stage \d of 3/)
    assert.equal(killed.code, null)
    const done = await backfill([...from, '--name', 'past'])
    assert.equal(done.code, 0, done.err)
    const sinks = Object.fromEntries(SINKS.map(name => [name, fileSink(join(dir, name))]))
    const places = files.map((file, i) => write(join(dir, `${i}.ndjson`), file))
    const embedded = await runBounded(visits().graph(), { sources: { visits: places }, sinks, parallelism: 2 })
    for (const name of SINKS) assert.deepEqual(await rowsOf(name, 'past'), sortedLines(join(dir, name)), name)
    const { events, deadLetters, resumed, stages } = done.json()
    assert.deepEqual([events, deadLetters, resumed], [embedded.events, 1, true])
    assert.deepEqual(stages, embedded.stages)

    const again = await backfill([...from, '--name', 'past'])
    assert.equal(again.json().events, events)
    const other = await backfill([...from, '--name', 'past', '--parallelism', '3'])
    assert.match(other.err, /was begun with other input, another range or parallelism/)
  })

  test('what is cancelled goes on when it is typed again, and leaves a savepoint', async () => {
    const words = [
      '--from',
      `s3://${archive}/in`,
      '--until',
      '2023-11-14T22:20:00Z',
      '--then-live',
      'past',
      '--yes',
      '--name',
      'cut',
    ]
    await backfill(words, /stage \d of 3/)
    const cancelled = await backfill(['--cancel'])
    assert.match(cancelled.out, /^(cancelled cut-1|no backfill runs)\n$/)
    const done = await backfill(words)
    assert.equal(done.code, 0, done.err)
    assert.ok((await rowsOf('pages', 'cut')).length > 10)
  })

  // A record of the hour that is passed over by neither would count twice, one that is passed over by both would be missing: each row names its visits, and how many their users had made.
  test('then live: archive and stream overlap by an hour, and each visit counts once', async () => {
    const { whole, archive: archived, stream, until } = handover()
    for (const [i, Key] of ['b', 'c', 'a'].map(name => `in/${name}.ndjson`).entries()) {
      const Body = archived
        .filter((_, at) => at % 3 === i)
        .map(line => `${line}\n`)
        .join('')
      await s3.send(new PutObjectCommand({ Bucket: archive, Key: `in/overlap/${Key}`, Body }))
    }
    const deployed = await openDeployed({
      app: visits(),
      outputs,
      id: 'Shop',
      sourceStream: outputs.SourceStream!,
      results: { bucket: results, prefix: 'out/' },
    })
    try {
      await Promise.all(stream.map((lines, shard) => deployed.feed(shard, lines)))
      const range = ['--until', new Date(until).toISOString(), '--then-live', 'overlap']
      const done = await backfill(['--from', `s3://${archive}/in/overlap`, ...range, '--name', 'overlap', '--yes'])
      assert.equal(done.code, 0, done.err)
      const before = await rowsOf('pages', 'overlap')
      const savepoint = `s3://${outputs.ShopBucket}/savepoints/overlap`
      const started = await millrace('start', '--stack', 'Past', '--from-snapshot', savepoint)
      assert.equal(started.code, 0, started.err)
      await deployed.settle()
      const { run } = await deployed.topology()
      const live = await rowsOf('pages', run)
      assert.ok(before.length > 1000 && live.length > 1000, `${before.length} and ${live.length}`)
      const all = sorted([...before, ...live].map(row => JSON.parse(row)))
      assert.deepEqual(all, (await expected(visits(), whole, 2)).pages)
    } finally {
      deployed.close()
    }
  })
})
