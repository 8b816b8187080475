import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Match } from 'aws-cdk-lib/assertions'
import { alarmsOf } from '../../bench/bill/price.ts'
import { UNITS } from '../../runtime/aws/functions/metric-names.ts'
import { GIVEN_UP } from '../../runtime/aws/functions/poison.ts'
import { functions, resources, STAGES, shop } from './stacks.ts'

const template = shop().template()
const all = (type: string) => Object.values(resources(template, type))
const mine = (type: string) => Object.entries(resources(template, type)).flatMap(([id, r]) => (id.startsWith('Shop') ? [r] : []))

test('each stage behind a shuffle has a stream with a shard for each subtask, provisioned and encrypted', () => {
  const streams = mine('AWS::Kinesis::Stream')
  assert.deepEqual(
    streams.map(({ Properties: p }) => [
      p.Name.split('.')[1],
      p.ShardCount,
      p.StreamModeDetails.StreamMode,
      p.StreamEncryption.KeyId,
    ]),
    [
      ['sessions', 2, 'PROVISIONED', 'alias/aws/kinesis'],
      ['pages', 4, 'PROVISIONED', 'alias/aws/kinesis'],
      ['buyers', 2, 'PROVISIONED', 'alias/aws/kinesis'],
    ],
  )
  // What is in them comes again from the sources.
  for (const stream of streams) assert.equal(stream.DeletionPolicy, 'Delete')
})

test('mappings deliver one batch of a shard at a time, from its beginning, and give nothing up', () => {
  const mappings = all('AWS::Lambda::EventSourceMapping').map(({ Properties: p }) => p)
  assert.equal(mappings.length, STAGES.length)
  for (const mapping of mappings) {
    assert.equal(mapping.ParallelizationFactor, 1)
    assert.equal(mapping.MaximumRetryAttempts, -1)
    assert.equal(mapping.MaximumRecordAgeInSeconds, -1)
    assert.equal(mapping.BisectBatchOnFunctionError, false)
    assert.equal(mapping.StartingPosition, 'TRIM_HORIZON')
    assert.deepEqual(mapping.FunctionResponseTypes, ['ReportBatchItemFailures'])
    assert.match(JSON.stringify(mapping.DestinationConfig.OnFailure.Destination), /ShopDeadLetters/)
    assert.equal(mapping.TumblingWindowInSeconds, undefined)
    assert.equal(mapping.FilterCriteria, undefined)
  }
  const made = Object.entries(functions(template))
  const found = mappings.map(mapping => {
    const [name] = made.find(([, fn]) => fn.logicalId === mapping.FunctionName.Ref)!
    return `${name}: ${mapping.BatchSize} of ${mapping.EventSourceArn['Fn::GetAtt'][0].replace(/[0-9A-F]{8}$/, '')}`
  })
  assert.deepEqual(found.sort(), [
    'stage buyers: 100 of ShopStreambuyers',
    'stage pages: 100 of ShopStreampages',
    'stage sessions: 100 of ShopStreamsessions',
    'stage source-clicks: 1000 of Clicks',
    'stage source-orders: 1000 of Orders',
  ])
})

test('a mapping waits for the rights of its function: it would be refused without', () => {
  for (const mapping of all('AWS::Lambda::EventSourceMapping')) {
    const name = mapping.Properties.FunctionName.Ref.replace(/Shop(Stage.*)[0-9A-F]{8}$/, '$1')
    assert.ok(
      mapping.DependsOn.some((id: string) => id.startsWith(`Shop${name}RoleDefaultPolicy`)),
      `${mapping.DependsOn} of ${name}`,
    )
  }
})

test('nothing that works on the state is changed before it is known to fit: all of it waits for that answer', () => {
  const [[id, check]] = Object.entries(resources(template, 'Custom::MillraceCompatibleState')) as [[string, any]]
  assert.equal(check.Properties.Pipeline, 'shop')
  assert.ok(JSON.parse(check.Properties.Shape).stages.length === STAGES.length)
  const { logicalId } = functions(template).compatible!
  assert.deepEqual(check.Properties.ServiceToken, { 'Fn::GetAtt': [logicalId, 'Arn'] })
  const waiting = ['AWS::Lambda::Function', 'AWS::Lambda::EventSourceMapping', 'AWS::StepFunctions::StateMachine']
  const found = waiting.flatMap(type => Object.entries(resources(template, type)).filter(([name]) => name.startsWith('Shop')))
  assert.ok(found.length > 10)
  for (const [name, { DependsOn = [] }] of found) assert.equal((DependsOn as string[]).includes(id), name !== logicalId, name)
})

test('a record that is given up counts, whatever stage it is in', () => {
  const filters = all('AWS::Logs::MetricFilter').map(({ Properties: p }) => p)
  const made = functions(template)
  const logOf = (name: string) => made[name]!.Properties.LoggingConfig.LogGroup
  const wanted = STAGES.map(id => logOf(`stage ${id}`))
  const text = (logGroups: unknown[]) => logGroups.map(g => JSON.stringify(g)).sort()
  assert.deepEqual(text(filters.map(f => f.LogGroupName)), text(wanted))
  for (const { FilterPattern } of filters) assert.match(FilterPattern, new RegExp(GIVEN_UP))
})

test('functions: stages and cuts know their stage, and all what the engine stands on', () => {
  const made = functions(template)
  assert.deepEqual(
    Object.keys(made).sort(),
    [
      ...STAGES.map(id => `stage ${id}`),
      'cut source-clicks',
      'cut source-orders',
      'materialise',
      'checkpoint',
      'compatible',
    ].sort(),
  )
  for (const [name, { Properties: p }] of Object.entries(made)) {
    assert.equal(p.Runtime, 'nodejs24.x', name)
    assert.deepEqual(p.Architectures, ['arm64'])
    const { MILLRACE_PREFIX, MILLRACE_OPTIONS, MILLRACE_TIMEOUT_MS, MILLRACE_SOURCES, MILLRACE_SINKS } = p.Environment.Variables
    assert.match(MILLRACE_PREFIX, /^Stack-?Shop-?[0-9A-F]{8}$/)
    assert.equal(MILLRACE_OPTIONS, '{}')
    assert.equal(MILLRACE_TIMEOUT_MS, '60000')
    assert.match(JSON.stringify(MILLRACE_SOURCES), /clicks.*kinesis.*Ref.*Clicks.*orders.*Orders/)
    assert.match(JSON.stringify(MILLRACE_SINKS), /pages.*s3.*Results.*buyers.*b\//)
    assert.equal(p.Timeout, /^(stage|cut|compatible)/.test(name) ? 60 : 900)
    assert.equal(p.MemorySize, name === 'compatible' ? 512 : 1769)
  }
})

test('logs are kept for a month, in groups that go with the stack', () => {
  const groups = mine('AWS::Logs::LogGroup')
  assert.equal(groups.length, Object.keys(functions(template)).length)
  for (const group of groups) assert.deepEqual([group.Properties.RetentionInDays, group.DeletionPolicy], [30, 'Delete'])
})

test('tables and bucket stay when the stack goes, and can be restored', () => {
  const tables = mine('AWS::DynamoDB::Table')
  assert.equal(tables.length, 2)
  for (const table of tables) {
    assert.equal(table.DeletionPolicy, 'Retain')
    assert.equal(table.UpdateReplacePolicy, 'Retain')
    assert.deepEqual(table.Properties.PointInTimeRecoverySpecification, { PointInTimeRecoveryEnabled: true })
    assert.equal(table.Properties.BillingMode, 'PAY_PER_REQUEST')
    assert.deepEqual(
      table.Properties.KeySchema.map((k: any) => `${k.AttributeName} ${k.KeyType}`),
      ['pk HASH', 'sk RANGE'],
    )
    // Nothing of the engine's may be deleted by age.
    assert.equal(table.Properties.TimeToLiveSpecification, undefined)
  }
  for (const type of ['AWS::S3::Bucket', 'AWS::SQS::Queue']) for (const r of mine(type)) assert.equal(r.DeletionPolicy, 'Retain')
})

test('the bucket is encrypted, closed to the public and to plain HTTP; so is the queue', () => {
  const [bucket] = mine('AWS::S3::Bucket')
  assert.deepEqual(bucket!.Properties.PublicAccessBlockConfiguration, {
    BlockPublicAcls: true,
    BlockPublicPolicy: true,
    IgnorePublicAcls: true,
    RestrictPublicBuckets: true,
  })
  assert.match(JSON.stringify(bucket!.Properties.BucketEncryption), /AES256/)
  const tlsOnly = Match.objectLike({
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Effect: 'Deny', Principal: { AWS: '*' }, Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      ]),
    },
  })
  template.hasResourceProperties('AWS::S3::BucketPolicy', tlsOnly)
  template.hasResourceProperties('AWS::SQS::QueuePolicy', tlsOnly)
  template.hasResourceProperties('AWS::SQS::Queue', { SqsManagedSseEnabled: true, MessageRetentionPeriod: 1_209_600 })
})

test('the schedule has a function look each minute, whose calls are tried again', () => {
  const target = functions(template).checkpoint!.logicalId
  const [schedule] = all('AWS::Scheduler::Schedule').map(({ Properties: p }) => p)
  assert.deepEqual([schedule.ScheduleExpression, schedule.FlexibleTimeWindow.Mode], ['rate(1 minute)', 'OFF'])
  assert.deepEqual(schedule.Target.Arn, { 'Fn::GetAtt': [target, 'Arn'] })
  assert.deepEqual(schedule.Target.RetryPolicy, { MaximumRetryAttempts: 0 })
  const [machine] = Object.keys(resources(template, 'AWS::StepFunctions::StateMachine'))
  const [before, reference, behind] = schedule.Target.Input['Fn::Join'][1]
  assert.deepEqual(reference, { Ref: machine })
  assert.deepEqual(JSON.parse(`${before}ARN${behind}`), {
    step: 'look',
    machine: 'ARN',
    chain: false,
    at: '<aws.scheduler.scheduled-time>',
  })
  const [calls] = all('AWS::Lambda::EventInvokeConfig').map(({ Properties: p }) => p)
  assert.deepEqual([calls.FunctionName, calls.MaximumEventAgeInSeconds, calls.MaximumRetryAttempts], [{ Ref: target }, 300, 2])
})

test('alarms tell what is wrong with what', () => {
  const says = all('AWS::CloudWatch::Alarm').map(({ Properties: p }) => p.AlarmDescription)
  for (const stage of STAGES) {
    assert.ok(says.includes(`Stage ${stage} is more than a minute behind its stream`))
    assert.ok(says.includes(`stage ${stage} fails again and again`))
    assert.ok(says.includes(`stage ${stage} is throttled: more concurrency is needed`))
  }
  for (const about of [
    /Nobody could look/,
    /A checkpoint failed/,
    /A record was given up/,
    /could not be handed to a stage/,
    /log table refuses writes/,
    /shard in front of stage pages is full/,
  ])
    assert.equal(says.filter(text => about.test(text)).length, 1, String(about))
  // Three for each stage, one more for each stream of a stage's own, six others: each is $0.10 a month.
  assert.equal(says.length, alarmsOf(STAGES.map(stage => ({ source: stage.startsWith('source-') }))))
  // The user's stream is not written to.
  assert.ok(!says.some(text => /in front of stage source/.test(text)))
  for (const { Properties: p } of all('AWS::CloudWatch::Alarm')) assert.equal(p.TreatMissingData, 'notBreaching')
})

test('the dashboard shows all stages, functions and checkpoints', () => {
  const [dashboard] = all('AWS::CloudWatch::Dashboard')
  const body = JSON.stringify(dashboard!.Properties.DashboardBody)
  for (const title of ['Behind the stream', 'Invocations', 'Errors', 'Throttles', 'Checkpoints', 'Dead letters'])
    assert.ok(body.includes(title), title)
  for (const stage of STAGES) assert.ok(body.includes(`stage ${stage}`), stage)
})

test('all that functions count is on the dashboard, by stage, and nothing else is; without metrics none of it', () => {
  const countedOn = (made: typeof template) => {
    const [dashboard] = Object.values(resources(made, 'AWS::CloudWatch::Dashboard'))
    const body = JSON.stringify(dashboard!.Properties.DashboardBody)
    return [...body.matchAll(/\\"Millrace\\",\\"(\w+)\\",\\"service\\",\\"[\w-]+\\"(?:,\\"stage\\",\\"([\w-]+))?/g)]
  }
  const found = countedOn(template).map(([, name, stage]) => `${name} ${stage ?? ''}`.trim())
  const wanted = Object.keys(UNITS).flatMap(name => (name.startsWith('Checkpoint') ? [name] : STAGES.map(id => `${name} ${id}`)))
  // Failed ones Step Functions counts too, also those that could not even say so.
  assert.deepEqual([...new Set(found)].sort(), wanted.filter(name => name !== 'CheckpointsFailed').sort())
  for (const { Properties } of Object.values(functions(template)))
    assert.equal(Properties.Environment.Variables.MILLRACE_METRICS, 'on')
  const without = shop({ metrics: false }).template()
  assert.deepEqual(countedOn(without), [])
  for (const { Properties } of Object.values(functions(without)))
    assert.equal(Properties.Environment.Variables.MILLRACE_METRICS, 'off')
})

test('outputs name everything', () => {
  const { Outputs: outputs } = template.toJSON()
  assert.deepEqual(
    Object.keys(outputs).sort(),
    [
      'Bucket',
      'Checkpoints',
      'Dashboard',
      'DeadLetters',
      'Functions',
      'LogTable',
      'Pipeline',
      'Prefix',
      'Schedule',
      'Stages',
      'StateTable',
    ].map(name => `Shop${name}`),
  )
  assert.equal(outputs.ShopPipeline.Value, 'shop')
  const stages = JSON.stringify(outputs.ShopStages.Value)
  for (const stage of STAGES) assert.ok(stages.includes(stage), stage)
  assert.match(stages, /mapping.*ShopMappingpages/)
  assert.match(stages, /cut.*ShopCutsourceclicks/)
})
