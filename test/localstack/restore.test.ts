import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { openClients } from '../../runtime/aws/clients.ts'
import { awsPorts } from '../../runtime/aws/ports.ts'
import { sortedLines } from '../engine/events.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { visibleRows } from '../functions/embedded-world.ts'
import { generate, visits } from '../functions/visits.ts'
import { deploy, destroy, type StackSource } from './cdk.ts'
import { until } from './deployed.ts'
import { millrace } from './millrace.ts'
import { clientOptions, withoutLocalStack } from './resources.ts'

const app = 'test/localstack/stacks/fork-app.ts'
const original: StackSource = { stack: 'Original', app }
const RECORDS = 150
/** The first one is read by an embedded run. */
const rounds = [0, 1, 2, 3].map(round => generate(RECORDS, 1, round)[0]!)
const countOf = (from: number, to: number) => rounds.slice(from, to + 1).flat().length

/** What a run of these rounds writes that one of the rounds before has not written. */
async function rowsOf(from: number, to: number, without?: number): Promise<string[]> {
  const all = async (end: number) => (await expected(visits(), [rounds.slice(from, end + 1).flat()], 1)).pages
  const before = without === undefined ? [] : await all(without)
  return (await all(to)).filter(row => !before.includes(row))
}

describe('a stack that starts from a snapshot', { skip: withoutLocalStack }, () => {
  let stream: string
  let trial: StackSource
  const buckets: Record<string, string> = {}
  before(async () => {
    const outputs = await deploy(original)
    stream = outputs.SourceStream!
    buckets.Original = outputs.ResultsBucket!
    trial = { stack: 'Trial', app, environment: { VISITS_ARN: outputs.SourceArn! } }
    buckets.Trial = (await deploy(trial)).ResultsBucket!
  })
  after(async () => {
    await destroy(trial)
    await destroy(original)
  })

  async function feed(round: number): Promise<void> {
    const { kinesis, close } = openClients(clientOptions)
    const Records = rounds[round]!.map(record => ({ Data: Buffer.from(record), PartitionKey: 'any' }))
    await kinesis.send(new PutRecordsCommand({ StreamName: stream, Records }))
    close()
  }

  async function succeeds(...words: string[]): Promise<string> {
    const { code, out, err } = await millrace(...words)
    assert.equal(code, 0, err)
    return out
  }

  /** What the run of a stack has written when it has taken so many records: of the rounds that it began with, too. */
  async function rows(stack: string, records: number): Promise<string[]> {
    const status = async () => (await millrace('status', '--stack', stack, '--json')).json()
    await until(`${records} records`, async () => ((await status()).stages[0].counts.recordsIn >= records ? true : undefined))
    await succeeds('checkpoint', '--stack', stack)
    const { run, stages } = await status()
    assert.equal(stages[0].counts.recordsIn, records)
    const ports = awsPorts({
      ...clientOptions,
      streams: name => name,
      tables: { log: '', state: '' },
      bucket: buckets[stack]!,
      prefix: '',
    })
    try {
      return sorted(await visibleRows(ports.blobs, `out/pages/run=${run}/`))
    } finally {
      ports.close()
    }
  }

  test('a fork goes on from a checkpoint, beside its original; each has the results of one run', async () => {
    await feed(1)
    assert.deepEqual(await rows('Original', countOf(1, 1)), await rowsOf(1, 1))
    await feed(2)
    assert.deepEqual(await rows('Original', countOf(1, 2)), await rowsOf(1, 2))
    const out = await succeeds('fork', '--stack', 'Original', '--checkpoint', '1', '--to', 'Trial')
    assert.equal(out, 'visits runs, from checkpoint 1 of the stack Original\n')
    assert.deepEqual(await rows('Trial', countOf(1, 2)), await rowsOf(1, 2, 1))
    await feed(3)
    assert.deepEqual(await rows('Original', countOf(1, 3)), await rowsOf(1, 3))
    assert.deepEqual(await rows('Trial', countOf(1, 3)), await rowsOf(1, 3, 1))
  })

  test('a stack goes back to an older checkpoint, and comes to the same', async () => {
    const back = ['start', '--stack', 'Original', '--from-snapshot', 'stack:Original@1']
    assert.match((await millrace(...back)).err, /visits runs, and starts from a snapshot only when it is stopped/)
    await succeeds('stop', '--stack', 'Original')
    assert.equal(await succeeds(...back), 'visits runs, from its checkpoint 1\n')
    // Its first checkpoint is that of before: what that had written stays under the name of its run.
    assert.deepEqual(await rows('Original', countOf(1, 3)), await rowsOf(1, 3, 1))
  })

  test('an embedded run is gone on with: state from its savepoint, and all that the stream has', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-restore-'))
    const at = (name: string) => join(dir, name)
    writeFileSync(at('0.ndjson'), rounds[0]!.map(record => `${record}\n`).join(''))
    const source = ['--source', `visits=${at('0.ndjson')}`, '--state', at('state'), '--keep-open', '--out', at('out')]
    await succeeds('run', 'test/localstack/stacks/visits.ts', ...source)
    await succeeds('savepoint', 'create', at('state'), '--to', at('savepoint'))
    const before = sorted(sortedLines(at('out/pages.ndjson')).map(line => JSON.parse(line)))
    await succeeds('stop', '--stack', 'Trial', '--no-checkpoint')
    const start = ['start', '--stack', 'Trial', '--from-snapshot', at('savepoint')]
    assert.match((await millrace(...start)).err, /has a run already, which did not begin with .*savepoint: with --replace/)
    assert.equal(await succeeds(...start, '--replace'), `visits runs, from ${at('savepoint')}\n`)
    const all = [...before, ...(await rows('Trial', countOf(0, 3)))].sort()
    assert.deepEqual(all, await rowsOf(0, 3))
  })
})
