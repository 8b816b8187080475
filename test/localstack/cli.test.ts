import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { GetScheduleCommand, SchedulerClient } from '@aws-sdk/client-scheduler'
import { openClients } from '../../runtime/aws/clients.ts'
import { expected, sorted } from '../functions/embedded-run.ts'
import { generate, visits } from '../functions/visits.ts'
import { deploy, destroy, type StackSource } from './cdk.ts'
import { until } from './deployed.ts'
import { millrace } from './millrace.ts'
import { clientOptions, withoutLocalStack } from './resources.ts'

const source: StackSource = { stack: 'Operations', app: 'test/localstack/stacks/operations-app.ts' }
const RECORDS = 200

/** As somebody types it, with `--stack Operations`. */
const operate = (...words: string[]) => millrace(...words, '--stack', 'Operations')

describe('millrace … --stack', { skip: withoutLocalStack }, () => {
  let stream: string
  let scheduleName: string
  let rounds = 0
  before(async () => {
    const outputs = await deploy(source)
    stream = outputs.SourceStream!
    scheduleName = outputs.ShopSchedule!
  })
  let destroyed = false
  after(() => (destroyed ? undefined : destroy(source)))

  async function feed(): Promise<void> {
    const { kinesis, close } = openClients(clientOptions)
    const Records = generate(RECORDS, 1, rounds++)[0]!.map(record => ({ Data: Buffer.from(record), PartitionKey: 'any' }))
    await kinesis.send(new PutRecordsCommand({ StreamName: stream, Records }))
    close()
  }
  const taken = (n: number) => async () => {
    const { stages } = (await operate('status', '--json')).json()
    return stages[0].counts.recordsIn >= n || undefined
  }
  const states = async () => (await operate('status', '--json')).json().stages.map((stage: { state: string }) => stage.state)

  /** LocalStack keeps schedules and does not act by them. */
  async function schedule() {
    const client = new SchedulerClient(clientOptions)
    const { State, Target, ScheduleExpression, FlexibleTimeWindow } = await client.send(
      new GetScheduleCommand({ Name: scheduleName }),
    )
    client.destroy()
    return { State, kept: { Target, ScheduleExpression, FlexibleTimeWindow } }
  }

  test('before the first record there is a status, and nothing to save', async () => {
    const { code, out } = await operate('status')
    assert.deepEqual([code, out.split('\n')[0]], [0, 'visits: none of its sources has had a record yet'])
    assert.equal((await operate('checkpoint')).out, 'nothing flowed since the last checkpoint: there is nothing to save\n')
    assert.equal((await operate('checkpoints')).out, 'no checkpoints in the stack Operations\n')
    const asked = await operate('state', 'get', 'user', 'u1')
    assert.deepEqual([asked.code, asked.err], [2, 'millrace: visits has not begun: none of its sources has had a record yet\n'])
  })

  test('a checkpoint is taken, listed, and has the state', async () => {
    await feed()
    await until('the records', taken(RECORDS))
    const { code, out, err } = await operate('checkpoint')
    assert.match(out, /^checkpoint 1 is complete: it took [\d.]+ (ms|s), and wrote [\d.]+ k?B\n$/, err)
    assert.equal(code, 0)
    const [listed] = (await operate('checkpoints', '--json')).json()
    assert.deepEqual([listed.n, listed.status, listed.kept], [1, 'complete', true])
    const { stages } = (await operate('status', '--json')).json()
    const counted = stages.find((stage: { id: string }) => stage.id !== 'source-visits').id
    assert.match((await operate('state', 'get', counted, 'u1')).out, /^\{"state":"n","value":\d+\}\n$/)
    assert.match(
      (await operate('state', 'get', 'none', 'u1')).err,
      /^millrace: there is no operator 'none' with state: there is /,
    )
  })

  test('what becomes of its state with other code is told before a deployment', async () => {
    const same = await operate('diff', 'test/localstack/stacks/visits.ts', '--json')
    assert.equal(same.code, 0, same.err)
    const { fits, newRun, states } = JSON.parse(same.out)
    assert.deepEqual([fits, newRun, new Set(states.map((s: { fate: string }) => s.fate))], [true, false, new Set(['kept'])])
    const other = await operate('diff', 'test/localstack/stacks/visits-other.ts', '--json')
    assert.equal(other.code, 1)
  })

  test('two who ask at a time both get one', async () => {
    await feed()
    await until('the records', taken(2 * RECORDS))
    const both = await Promise.all([operate('checkpoint', '--json'), operate('checkpoint', '--json')])
    const outcomes = both.map(({ out, err }) => (out === '' ? err : JSON.parse(out).outcome))
    // Whoever comes second may find that nothing flowed since.
    assert.match(outcomes.sort().join(), /^complete,(complete|nothing)$/)
  })

  test('stopped, nothing moves and nothing is scheduled; started, it goes on where it was', async () => {
    const { State, kept } = await schedule()
    assert.equal(State, 'ENABLED')
    const stopped = await operate('stop')
    assert.match(
      stopped.out,
      /^visits is stopped(, with checkpoint \d+)?; millrace start --stack Operations goes on\nrecords wait, .*\n$/,
      stopped.err,
    )
    assert.deepEqual([...new Set(await states())], ['Disabled'])
    assert.deepEqual(await schedule(), { State: 'DISABLED', kept })
    await feed()
    const before = (await operate('status', '--json')).json().stages[0].counts.recordsIn
    assert.equal((await operate('checkpoint')).out, 'nothing flowed since the last checkpoint: there is nothing to save\n')
    assert.equal((await operate('start')).out, 'visits runs\n')
    assert.deepEqual([...new Set(await states())], ['Enabled'])
    assert.deepEqual(await schedule(), { State: 'ENABLED', kept })
    await until('the records', taken(before + RECORDS))
    const last = await operate('stop')
    assert.match(last.out, /with checkpoint \d+/, last.err)
  })

  const directory = mkdtempSync(join(tmpdir(), 'millrace-savepoint-'))
  /** An embedded run from a savepoint, on records that come later, has the results of a run that had all of them. */
  async function openEmbedded(path: string): Promise<void> {
    const later = join(directory, 'later.ndjson')
    const results = mkdtempSync(join(directory, 'out-'))
    const records = generate(RECORDS, 1, rounds)[0]!
    writeFileSync(later, records.map(record => `${record}\n`).join(''))
    const words = ['run', 'test/localstack/stacks/visits.ts', '--source', `visits=${later}`, '--out', results]
    const { code, out, err } = await millrace(...words, '--from-snapshot', path, '--json')
    assert.equal(code, 0, err)
    assert.equal(JSON.parse(out).events, records.length)
    const all = Array.from({ length: rounds + 1 }, (_, round) => generate(RECORDS, 1, round)[0]!).flat()
    const first = Math.min(...records.map(record => JSON.parse(record).at))
    const { pages } = await expected(visits(), [all], 1)
    const found = readFileSync(join(results, 'pages.ndjson'), 'utf8').trim().split('\n')
    assert.deepEqual(
      sorted(found.map(row => JSON.parse(row))),
      pages.filter(row => JSON.parse(row).start > first - 10_000),
    )
  }

  test('a savepoint is taken into the bucket, listed, verified, opened and deleted', async () => {
    await operate('start')
    await feed()
    await until('the records', taken(rounds * RECORDS))
    const { code, out, err } = await operate('savepoint', 'create', '--json')
    assert.equal(code, 0, err)
    const { path, pipeline, files } = JSON.parse(out)
    assert.match(path, /^s3:\/\/[^/]+\/savepoints\/visits-\d+-\d{8}T\d{6}Z$/)
    assert.deepEqual([pipeline, files > 0], ['visits', true])
    const listed = (await operate('savepoint', 'list', '--json')).json()
    assert.deepEqual(
      listed.map((at: { path: string }) => at.path),
      [path],
    )
    assert.match((await millrace('savepoint', 'verify', path)).out, /^s3:.* is whole: checkpoint \d+ of visits, /)
    await openEmbedded(path)
    assert.match((await millrace('savepoint', 'delete', path)).out, /is deleted/)
    assert.deepEqual((await operate('savepoint', 'list', '--json')).json(), [])
  })

  test('what is not there is said in one sentence', async () => {
    const none = await millrace('status', '--stack', 'None')
    assert.deepEqual(
      [none.code, none.err],
      [2, 'millrace: there is no stack None in this account and region (AWS_PROFILE and AWS_REGION choose others)\n'],
    )
    const bootstrap = await millrace('status', '--stack', 'CDKToolkit')
    assert.match(bootstrap.err, /the stack CDKToolkit has no pipeline of Millrace among its outputs/)
    assert.match((await operate('status', '--pipeline', 'visit')).err, /has no pipeline visit: did you mean visits\?/)
    const none2 = await millrace('savepoint', 'verify', 's3://no-such-bucket/x')
    assert.deepEqual([none2.code, /bucket no-such-bucket is not there/.test(none2.err)], [2, true], none2.err)
  })

  test('a savepoint in a directory opens when the stack and its bucket are gone', async () => {
    const path = join(directory, 'savepoint')
    const { code, out, err } = await operate('savepoint', 'create', '--to', path)
    assert.equal(code, 0, err)
    assert.match(out, /^savepoint of checkpoint \d+ of visits: /)
    await destroy(source)
    destroyed = true
    assert.match((await millrace('savepoint', 'verify', path)).out, /is whole/)
    await openEmbedded(path)
  })
})
