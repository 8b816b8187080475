import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { acknowledge } from '../../infra/acknowledge.ts'
import { backfillDefinition } from '../../infra/backfill-definition.ts'
import { InfraError } from '../../infra/index.ts'
import type { BackfillTask } from '../../runtime/aws/functions/backfill.ts'
import { functions, nagFindings, resources, STAGES, shop, statementsOf } from './stacks.ts'
import { runMachine, TaskError } from './states.ts'

const definition = backfillDefinition({ bucket: 'state', functions: { 'source-a': 'a-fn', 'b"x': 'b-fn' } })
const task = (stage: string, shard: number): BackfillTask => ({ run: 'r1', stage, shard, step: 'run' })
const WAVES = [[task('source-a', 0), task('source-a', 1)], [task('b"x', 0)], []]

/** An execution, with its calls in order; `answer` is what the functions do. */
async function execution(answer: (name: string, given: BackfillTask) => unknown, concurrency = 2, waves = WAVES) {
  const calls: string[] = []
  const ended = await runMachine(definition, {
    id: 'machine',
    execution: { id: 'execution', input: { run: 'r1', waves: waves.length, concurrency } },
    clock: { now: 0 },
    async task(resource, args) {
      if (resource.endsWith('s3:getObject')) {
        const [, wave] = /^backfill\/r1\/waves\/(\d+)\.json$/.exec(args.Key)!
        calls.push(`wave ${wave} of ${args.Bucket}`)
        return waves[Number(wave)]!
      }
      calls.push(`${args.FunctionName} ${args.Payload.shard}`)
      return { Payload: await answer(args.FunctionName, args.Payload) }
    },
  })
  return { calls, ended }
}

test('wave by wave, each task by the function of its stage, and again until it is through', async () => {
  const asked = new Map<number, number>()
  const { calls, ended } = await execution((name, given) => {
    assert.deepEqual(given, name === 'a-fn' ? task('source-a', given.shard) : task('b"x', 0))
    if (name === 'b-fn') return { through: true }
    asked.set(given.shard, (asked.get(given.shard) ?? 0) + 1)
    // The second task takes three calls.
    return { through: given.shard === 0 || asked.get(1) === 3 }
  })
  assert.deepEqual([ended.status, ended.output], ['SUCCEEDED', {}], ended.cause)
  assert.deepEqual([calls[0], ...calls.slice(-3)], ['wave 0 of state', 'wave 1 of state', 'b-fn 0', 'wave 2 of state'])
  assert.deepEqual(calls.slice(1, 5).sort(), ['a-fn 0', 'a-fn 1', 'a-fn 1', 'a-fn 1'])
})

test('no more tasks at a time than was said when it began', async () => {
  const tasks = Array.from({ length: 20 }, (_, shard) => task('source-a', shard))
  for (const concurrency of [1, 3]) {
    let [now, most] = [0, 0]
    const work = async () => {
      most = Math.max(most, ++now)
      await new Promise(setImmediate)
      now--
      return { through: true }
    }
    const { ended, calls } = await execution(work, concurrency, [tasks])
    assert.deepEqual([ended.status, most, calls.length], ['SUCCEEDED', concurrency, 21])
  }
})

test('what may be through when it is called again is; what can not be ends the backfill', async () => {
  let died = 0
  const retried = await execution(() => {
    if (died++ < 3) throw new TaskError('Sandbox.Timedout')
    return { through: true }
  })
  assert.equal(retried.ended.status, 'SUCCEEDED')
  const failed = await execution(() => {
    throw new TaskError('UserCodeError', 'no')
  })
  assert.deepEqual([failed.ended.status, failed.ended.error, failed.calls.length], ['FAILED', 'UserCodeError', 3])
})

const archived = () =>
  shop(stack => {
    const archive = new Bucket(stack, 'Archive', { enforceSSL: true })
    acknowledge(archive, { 'AwsSolutions-S1': 'a test' })
    return { backfill: { archives: [{ bucket: archive, prefix: 'clicks/' }] } }
  })

test('without `backfill` a stack has nothing of it', () => {
  const template = shop().template()
  assert.deepEqual(
    Object.keys(functions(template)).filter(name => name.startsWith('backfill')),
    [],
  )
  assert.equal(Object.keys(resources(template, 'AWS::StepFunctions::StateMachine')).length, 1)
})

test('each stage has a function that may do what its own may, for as long as Lambda lets it; sources may read the archive, and nothing else may', () => {
  const made = archived()
  const template = made.template()
  const found = functions(template)
  for (const stage of STAGES) {
    const { Properties } = found[`backfill ${stage}`]!
    assert.deepEqual(Properties.Role, found[`stage ${stage}`]!.Properties.Role)
    assert.deepEqual([Properties.Timeout, Properties.EphemeralStorage], [900, { Size: 10_240 }])
    const reads = JSON.stringify(statementsOf(template, Properties.Role['Fn::GetAtt'][0])).includes('clicks/*')
    assert.equal(reads, stage.startsWith('source-'), stage)
  }
  const machines = Object.values(resources(template, 'AWS::StepFunctions::StateMachine'))
  const [role] = Object.entries(resources(template, 'AWS::IAM::Role')).find(
    ([, r]) => r.Properties.Description === 'Runs backfills',
  )!
  assert.deepEqual(
    statementsOf(template, role).flatMap(({ Action }) => Action),
    ['lambda:InvokeFunction', 's3:GetObject', 'states:StartExecution', 'states:DescribeExecution', 'states:StopExecution'],
  )
  assert.ok(machines.some(({ Properties }) => /-backfill$/.test(Properties.StateMachineName)))
  const output = Object.entries(template.findOutputs('*')).find(([name]) => name.endsWith('Backfill'))
  assert.match(JSON.stringify(output), /machine.*functions.*source-clicks/s)
  assert.deepEqual(nagFindings(made), [])
})

test('a backfill reads something', () => {
  assert.throws(() => shop({ backfill: { archives: [] } }), InfraError)
  assert.throws(() => shop({ backfill: { archive: [] } as never }), /backfill has no option 'archive': did you mean archives/)
})
