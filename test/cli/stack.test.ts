import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Control, Execution } from '../../runtime/cli/stack/control.ts'
import { keptWhileStopped } from '../../runtime/cli/stack/kept.ts'
import { lagMetric } from '../../runtime/cli/stack/lag.ts'
import { setMappings } from '../../runtime/cli/stack/mappings.ts'
import { checkEndpoints } from '../../runtime/cli/stack/sdk.ts'
import { findStack, type Stack, type StackStage } from '../../runtime/cli/stack/stack.ts'
import { statusText } from '../../runtime/cli/stack/status-text.ts'
import { startStack, stopStack } from '../../runtime/cli/stack/stop-stack.ts'
import { takeCheckpoint } from '../../runtime/cli/stack/take-checkpoint.ts'
import { waiting } from '../../runtime/cli/stack/waiting.ts'
import { millrace } from './cli.ts'

const NOW = 1_700_000_000_000
/** Sleeping moves it. */
function handClock() {
  let now = NOW
  return {
    now: () => now,
    async sleep(ms: number) {
      now += ms
    },
  }
}

function outputsOf(path: string, pipeline: string): Record<string, string> {
  const stages = {
    'source-clicks': { function: 'f1', cut: 'c1', reads: 'kinesis', stream: 'clicks', mapping: 'm1' },
    pages: { function: 'f2', reads: 'kinesis', stream: 'p.pages', mapping: 'm2' },
  }
  const parts = {
    Pipeline: pipeline,
    Prefix: 'p',
    LogTable: 'l',
    StateTable: 's',
    Bucket: 'b',
    Checkpoints: 'arn:machine',
    Schedule: 'every',
    Functions: '{"checkpoint":"f-checkpoint"}',
  }
  const all = { ...parts, Stages: JSON.stringify(stages), DeadLetters: 'q', Dashboard: 'p' }
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [path + name, value]))
}
const SHOP: Stack = await findStack({ outputs: async () => outputsOf('Shop', 'shop') }, 'Stack')

test('a pipeline is found by the outputs of its stack', async () => {
  assert.deepEqual(
    [SHOP.pipeline, SHOP.tables, SHOP.bucket, SHOP.checkpoints],
    ['shop', { log: 'l', state: 's' }, 'b', 'arn:machine'],
  )
  assert.equal(SHOP.stages.pages!.mapping, 'm2')
  const two = { outputs: async () => ({ ...outputsOf('A', 'shop'), ...outputsOf('BPart', 'ads'), OtherCheckpoints: 'x' }) }
  assert.equal((await findStack(two, 'Stack', 'ads')).pipeline, 'ads')
  const refusals: [Parameters<typeof findStack>, RegExp][] = [
    [
      [{ outputs: async () => undefined }, 'Stak'],
      /^there is no stack Stak in this account and region \(AWS_PROFILE and AWS_REGION choose others\)$/,
    ],
    [[{ outputs: async () => ({ Url: 'x' }) }, 'Web'], /^the stack Web has no pipeline of Millrace among its outputs$/],
    [[two, 'Stack'], /^the stack Stack has 2 pipelines: choose one with --pipeline, of shop and ads$/],
    [[two, 'Stack', 'shp'], /^the stack Stack has no pipeline shp: did you mean shop\?$/],
  ]
  for (const [args, message] of refusals) await assert.rejects(findStack(...args), { name: 'UsageError', message })
})

/** Executions of a controller, each a list of what is seen of it, one look after the other. */
function executions(...seen: Execution[][]) {
  const started: string[] = []
  const looks = new Map<string, Execution[]>()
  return {
    started,
    looks,
    async startExecution() {
      const arn = `e${started.length + 1}`
      looks.set(arn, seen[started.length] ?? [])
      started.push(arn)
      return { arn, startedAt: NOW + started.length }
    },
    async execution(arn: string) {
      const left = looks.get(arn)!
      return left.length > 1 ? left.shift()! : left[0]!
    },
    async executionsAfter() {
      return [] as string[]
    },
    async runningExecutions() {
      return ['link']
    },
  }
}
const RUNNING: Execution = { status: 'RUNNING' }
const complete = (checkpoint: number): Execution => ({ status: 'SUCCEEDED', output: { outcome: 'complete', checkpoint } })
const busy = (everySeconds: number): Execution => ({ status: 'SUCCEEDED', output: { outcome: 'busy', everySeconds } })

test('a checkpoint is waited for', async () => {
  const clock = handClock()
  const said: string[] = []
  const control = executions([RUNNING, RUNNING, complete(7)])
  const taken = await takeCheckpoint(control, 'm', clock, (ms, what) => said.push(`${what} ${ms}`))
  assert.deepEqual(taken, { outcome: 'complete', checkpoint: 7 })
  assert.deepEqual(said, ['the checkpoint is being taken 0', 'the checkpoint is being taken 1000'])
})

test('how a checkpoint ends', async () => {
  const end = async (execution: Execution) => takeCheckpoint(executions([execution]), 'm', handClock(), () => {})
  assert.deepEqual(await end({ status: 'SUCCEEDED', output: { outcome: 'nothing' } }), { outcome: 'nothing' })
  assert.deepEqual(await end({ status: 'FAILED', cause: 'no ack within 120 s from pages/0' }), {
    outcome: 'failed',
    reason: 'no ack within 120 s from pages/0',
  })
  const cause = `StateMismatchError: ${JSON.stringify({ errorType: 'StateMismatchError', errorMessage: 'another "plan"', trace: [] })}`
  assert.deepEqual(await end({ status: 'FAILED', cause }), { outcome: 'failed', reason: 'StateMismatchError: another "plan"' })
  assert.deepEqual(await end({ status: 'ABORTED' }), { outcome: 'failed', reason: 'its execution ended as ABORTED' })
})

test('while another one is taken it is asked for again', async () => {
  const control = executions([busy(0)], [RUNNING, busy(0)], [complete(8)])
  assert.deepEqual(await takeCheckpoint(control, 'm', handClock(), () => {}), { outcome: 'complete', checkpoint: 8 })
  assert.equal(control.started.length, 3)
})

test('where each is followed by the next, the next one is waited for, and the chain is left alone', async () => {
  const control = executions([busy(10)])
  let asked = 0
  const watching = {
    ...control,
    async executionsAfter(_: string, startedAt: number) {
      assert.equal(startedAt, NOW + 1)
      asked++
      control.looks.set('scheduled', [busy(10)])
      if (asked === 2) control.looks.set('next', [RUNNING, complete(9)])
      return asked < 2 ? ['scheduled'] : ['scheduled', 'next']
    },
  }
  assert.deepEqual(await takeCheckpoint(watching, 'm', handClock(), () => {}), { outcome: 'complete', checkpoint: 9 })
  assert.equal(control.started.length, 1)
})

test('a chain that ended, since nothing flowed, is not waited for: it is asked for again', async () => {
  const control = executions([busy(10)], [complete(9)])
  const ending = { ...control, runningExecutions: async () => [] }
  assert.deepEqual(await takeCheckpoint(ending, 'm', handClock(), () => {}), { outcome: 'complete', checkpoint: 9 })
  assert.equal(control.started.length, 2)
})

/** Mappings that take two looks to change, and refuse to be changed meanwhile. */
function mappings(states: Record<string, string>) {
  const changes: string[] = []
  const left = new Map<string, number>()
  const control = {
    changes,
    async mappingState(uuid: string) {
      const looks = left.get(uuid) ?? 0
      if (looks > 0) left.set(uuid, looks - 1)
      if (looks === 1) states[uuid] = states[uuid] === 'Enabling' ? 'Enabled' : 'Disabled'
      return states[uuid]!
    },
    async setMapping(uuid: string, enabled: boolean) {
      if (/ing$/.test(states[uuid]!)) return false
      changes.push(`${uuid} ${enabled ? 'on' : 'off'}`)
      states[uuid] = enabled ? 'Enabling' : 'Disabling'
      left.set(uuid, 2)
      return true
    },
  }
  return control
}

test('mappings are changed once, waited for, and left alone where they are as they should be', async () => {
  const control = mappings({ m1: 'Enabled', m2: 'Disabled' })
  await setMappings(control, { a: 'm1', b: 'm2' }, false, handClock())
  assert.deepEqual(control.changes, ['m1 off'])
  // Somebody else's change is under way.
  const other = mappings({ m1: 'Enabled' })
  await other.setMapping('m1', true)
  await setMappings(other, { a: 'm1' }, false, handClock())
  assert.deepEqual(other.changes, ['m1 on', 'm1 off'])
})

test('a mapping that does not change is named', async () => {
  const stuck = { mappingState: async () => 'Updating', setMapping: async () => false }
  await assert.rejects(
    setMappings(stuck, { pages: 'm2' }, true, handClock()),
    /mapping of stage pages \(m2\) is still Updating after 5 minutes/,
  )
})

const quiet = { checkpoint: true, onWait: () => {}, tell: async () => {} }
type World = ReturnType<typeof executions> &
  ReturnType<typeof mappings> &
  Omit<Control, 'outputs' | 'lags' | 'mappingProblem' | 'invoke'> & { running: string[][] }
/** `running`: what runs at each look, by ARN, when the schedule has been switched off; the last one stays. */
function world(...seen: Execution[][]) {
  const made = executions(...seen)
  const control: World = {
    ...made,
    ...mappings({ m1: 'Enabled', m2: 'Enabled' }),
    running: [[]] as string[][],
    async runningExecutions() {
      return control.running.length > 1 ? control.running.shift()! : control.running[0]!
    },
    async stopExecution(arn: string) {
      control.changes.push(`end ${arn}`)
    },
    async setSchedule(name: string, enabled: boolean) {
      control.changes.push(`${name} ${enabled ? 'on' : 'off'}`)
    },
    async startExecution() {
      control.changes.push('checkpoint')
      return made.startExecution()
    },
  }
  return control
}

test('stop: sources, then the checkpoint of all that they sent, then the others, then the schedule; start: the other way round', async () => {
  const control = world([RUNNING, complete(7)])
  const clock = handClock()
  const tell = async (stopped: boolean) => void control.changes.push(stopped ? 'told to stop' : 'told to go on')
  assert.deepEqual(await stopStack(control, SHOP, clock, { ...quiet, tell }), { outcome: 'complete', checkpoint: 7 })
  // What the schedule has called by then begins nothing behind it.
  assert.deepEqual(control.changes.splice(0), ['m1 off', 'checkpoint', 'm2 off', 'told to stop', 'every off'])
  const join = async () => void control.changes.push('sources read on')
  await startStack(control, SHOP, clock, tell, join)
  assert.deepEqual(control.changes, ['every on', 'm2 on', 'sources read on', 'm1 on', 'told to go on'])
})

test('a chain of checkpoints is stopped, with the link that was begun meanwhile; one that somebody asked for comes to its end', async () => {
  const control = world([RUNNING, complete(7)])
  control.running = [['link', 'asked', 'ended'], ['next', 'asked'], ['asked']]
  for (const arn of ['link', 'next']) control.looks.set(arn, [{ ...RUNNING, repeats: true }])
  control.looks.set('asked', [{ ...RUNNING, repeats: false }])
  control.looks.set('ended', [{ ...complete(6), repeats: true }])
  await stopStack(control, SHOP, handClock(), quiet)
  assert.deepEqual(control.changes.slice(-3), ['every off', 'end link', 'end next'])
})

test('a chain that can not be caught is waited for no longer than it lives without its schedule', async () => {
  const control = world([complete(7)])
  control.running = [['link']]
  control.looks.set('link', [{ ...RUNNING, repeats: true }])
  const clock = handClock()
  await stopStack(control, SHOP, clock, quiet)
  // The mappings take four of these seconds.
  assert.equal(clock.now(), NOW + 155_000)
})

test('a stop whose checkpoint fails changes nothing; one without a checkpoint stops all', async () => {
  const control = world([{ status: 'FAILED', cause: 'it is broken' }])
  const clock = handClock()
  const tell = async (stopped: boolean) => void control.changes.push(stopped ? 'told to stop' : 'told to go on')
  assert.deepEqual(await stopStack(control, SHOP, clock, { ...quiet, tell }), { outcome: 'failed', reason: 'it is broken' })
  assert.deepEqual(control.changes.splice(0), ['m1 off', 'checkpoint', 'm1 on'])
  assert.equal(await stopStack(control, SHOP, clock, { ...quiet, checkpoint: false, tell }), undefined)
  assert.deepEqual(control.changes, ['m1 off', 'm2 off', 'told to stop', 'every off'])
})

test('how long a pipeline may be stopped is said by source, and of frames where no checkpoint has taken them in', () => {
  const stage = { function: 'f', mapping: 'm' }
  const stages = {
    'source-clicks': { ...stage, cut: 'c', reads: 'kinesis' },
    'source-orders': { ...stage, cut: 'c', reads: 's3' },
    pages: { ...stage, reads: 'kinesis' },
  } as const
  const sources = 'source-clicks 24 hours, unless its stream was set to keep more; source-orders 14 days'
  assert.equal(keptWhileStopped({ stages }, true), `records wait, and stopped for longer it loses some: ${sources}`)
  assert.ok(keptWhileStopped({ stages }, false).endsWith(`${sources}; between stages 24 hours`))
})

test('the status for people', () => {
  const counts = { recordsIn: 12_345, recordsOut: 9, results: 3, deadLetters: 1, late: 0 }
  const stage = {
    id: 'pages',
    subtasks: 4,
    versions: 1_200,
    counts,
    state: 'Enabled',
    problem: null,
    recordsPerSecond: 41.6,
    behindMs: 350,
    behindRecords: null,
  }
  const text = statusText(
    {
      pipeline: 'shop',
      run: 'r1',
      stages: [
        { ...stage, watermark: NOW - 5_000 },
        { ...stage, id: 'buyers', watermark: null, behindMs: null, state: 'Disabled', recordsPerSecond: 0 },
        {
          ...stage,
          id: 'topic',
          watermark: null,
          behindMs: null,
          behindRecords: 12_000,
          problem: 'PROBLEM: Function call failed',
        },
      ],
      lastCheckpoint: { n: 7, status: 'complete', kept: true, startedAt: NOW - 12_000, completedAt: NOW - 8_000, bytes: 1_500 },
    },
    NOW,
  )
  assert.equal(
    text,
    `shop, run r1

stage   state     subtasks  records  a second  behind          watermark                 lag    commits
pages   enabled   4         12,345   42        350 ms          2023-11-14T22:13:15.000Z  5.0 s  1,200
buyers  disabled  4         12,345   0         -               -                         -      1,200
topic   enabled   4         12,345   42        12,000 records  -                         -      1,200

checkpoint 7: complete 8.0 s ago, took 4.0 s, 1.5 kB
3 dead letters
topic: the last batch failed (PROBLEM: Function call failed); the log of its function says why
`,
  )
  const nothing = statusText(
    { pipeline: 'shop', run: undefined, stages: [{ ...stage, watermark: null }], lastCheckpoint: undefined },
    NOW,
  )
  assert.equal(nothing, 'shop: none of its sources has had a record yet\n\nstage  state\npages  enabled\n')
})

test('how far a stage is behind is asked of what measures it', () => {
  const lagOf = (stage: Partial<StackStage>, value: number) => {
    const { namespace, name, dimension, lag } = lagMetric({ function: 'f', mapping: 'm', reads: 'kinesis', ...stage })
    return [namespace, name, ...dimension, lag(value)]
  }
  assert.deepEqual(lagOf({}, 350), ['AWS/Lambda', 'IteratorAge', 'FunctionName', 'f', { ms: 350 }])
  assert.deepEqual(lagOf({ reads: 'dynamodb' }, 350), ['AWS/Lambda', 'IteratorAge', 'FunctionName', 'f', { ms: 350 }])
  assert.deepEqual(lagOf({ reads: 'kafka' }, 12), ['AWS/Lambda', 'OffsetLag', 'FunctionName', 'f', { records: 12 }])
  const queue = 'https://sqs.eu-west-1.amazonaws.com/111122223333/Shop-Objects'
  assert.deepEqual(lagOf({ reads: 's3', queue }, 3), [
    'AWS/SQS',
    'ApproximateAgeOfOldestMessage',
    'QueueName',
    'Shop-Objects',
    { ms: 3000 },
  ])
})

test('waiting is told in one line on a terminal, and now and then elsewhere', () => {
  const told = (isTTY: boolean) => {
    const written: string[] = []
    const view = waiting({ isTTY, write: text => written.push(text) })
    for (const seconds of [0, 3, 6, 9, 12]) view.update(seconds * 1000, 'waiting')
    view.clear()
    return written
  }
  assert.deepEqual(told(false), ['waiting (6.0 s)\n', 'waiting (12.0 s)\n'])
  assert.equal(told(true)[1], '\rwaiting (3.0 s)\u001b[K')
})

test('an endpoint that is no URL is refused before anything is asked of it', async () => {
  for (const [name, value] of [
    ['AWS_ENDPOINT_URL', 'localhost:4566'],
    ['AWS_ENDPOINT_URL_S3', '127.0.0.1:4566'],
  ] as const)
    for (const words of ['status --stack Shop', 'savepoint verify s3://bucket/key']) {
      const { code, err } = await millrace(words.split(' '), { env: { AWS_REGION: 'us-east-1', [name]: value } })
      assert.equal(err, `millrace: ${name} is '${value}': a URL is needed, such as http://127.0.0.1:4566\n`)
      assert.equal(code, 2)
    }
  assert.doesNotThrow(() => checkEndpoints({ AWS_ENDPOINT_URL: 'https://localhost:4566', AWS_ENDPOINT_URL_S3: '', PATH: 'x' }))
})

test('what is typed wrongly is said in one sentence', async () => {
  for (const [words, sentence] of [
    ['status', /^millrace: --stack NAME is needed: the stack on AWS$/],
    ['checkpoints', /needs DIR, the state directory of a run, or --stack NAME in the place of DIR: millrace checkpoints DIR$/],
    ['checkpoints state --stack Shop', /doesn't know what to do with 'state'$/],
    ['state get --stack Shop trending', /needs KEY, the key: .*: millrace state get OPERATOR KEY$/],
    [
      'run a.ts --from-snapshot stack:',
      /^millrace: --from-snapshot stack:: a stack's name is missing: stack:NAME, or stack:NAME@N$/,
    ],
    ['run a.ts --from-snapshot stack:@3', /a stack's name is missing/],
    ['stop --stack', /--stack needs a value: --stack NAME$/],
  ] as const) {
    const { code, err } = await millrace(words.split(' '))
    assert.deepEqual([code, sentence.test(err.trimEnd())], [2, true], err)
  }
})
