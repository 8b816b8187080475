import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Duration, RemovalPolicy } from 'aws-cdk-lib'
import { Match } from 'aws-cdk-lib/assertions'
import { Vpc } from 'aws-cdk-lib/aws-ec2'
import { Stream, StreamEncryption } from 'aws-cdk-lib/aws-kinesis'
import { Key } from 'aws-cdk-lib/aws-kms'
import { RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { Queue } from 'aws-cdk-lib/aws-sqs'
import { actionsOn, functions, nagFindings, plainApp, resources, shop, statementsOf } from './stacks.ts'

const all = (template: ReturnType<ReturnType<typeof shop>['template']>, type: string) => Object.values(resources(template, type))

test('what is said for all stages is said for each, unless it says its own', () => {
  const template = shop({
    parallelism: 3,
    memorySize: 1024,
    timeout: Duration.seconds(30),
    batching: { size: 500, window: Duration.seconds(2) },
    stages: {
      pages: { parallelism: 8, memorySize: 2048, timeout: Duration.minutes(2), enhancedFanOut: true, batching: { size: 10 } },
      'source-clicks': { batching: { window: Duration.seconds(0) }, memorySize: undefined },
    },
  }).template()
  const streams = all(template, 'AWS::Kinesis::Stream').map(({ Properties: p }) => [p.Name?.split('.')[1], p.ShardCount])
  // The pipeline says 2 for its operators, which the construct's own default does not change.
  assert.deepEqual(streams.slice(2), [
    ['sessions', 2],
    ['pages', 8],
    ['buyers', 2],
  ])
  const made = functions(template)
  assert.deepEqual(
    ['stage sessions', 'stage pages', 'cut source-clicks'].map(n => [
      made[n]!.Properties.MemorySize,
      made[n]!.Properties.Timeout,
    ]),
    [
      [1024, 30],
      [2048, 120],
      [1024, 30],
    ],
  )
  for (const { Properties } of Object.values(made)) {
    const { MILLRACE_OPTIONS, MILLRACE_TIMEOUT_MS, MILLRACE_MEMORY_MB } = Properties.Environment.Variables
    assert.deepEqual(JSON.parse(MILLRACE_OPTIONS), { parallelism: 3, parallelismOf: { pages: 8 } })
    // No frame is undecided for longer than the longest of them takes.
    assert.equal(MILLRACE_TIMEOUT_MS, '120000')
    // What waits for a fold has to find room in the smallest.
    assert.equal(MILLRACE_MEMORY_MB, '1024')
  }
  const mapping = (stage: string) =>
    all(template, 'AWS::Lambda::EventSourceMapping').find(
      m => m.Properties.FunctionName.Ref === made[`stage ${stage}`]!.logicalId,
    )!.Properties
  const batching = (stage: string) => [mapping(stage).BatchSize, mapping(stage).MaximumBatchingWindowInSeconds]
  assert.deepEqual(
    [batching('sessions'), batching('pages'), batching('source-clicks')],
    [
      [500, 2],
      [10, 2],
      [500, 0],
    ],
  )
  // Before that no stage can have acked.
  assert.match(JSON.stringify(all(template, 'AWS::StepFunctions::StateMachine')), /max\(\[3 - \$floor/)
  const [[consumer]] = Object.entries(resources(template, 'AWS::Kinesis::StreamConsumer')) as [[string, unknown]]
  assert.deepEqual(mapping('pages').EventSourceArn, { 'Fn::GetAtt': [consumer, 'ConsumerARN'] })
  const role = made['stage pages']!.Properties.Role['Fn::GetAtt'][0]
  assert.deepEqual(actionsOn(template, role, consumer), ['kinesis:DescribeStreamConsumer', 'kinesis:SubscribeToShard'])
})

test('enhanced fan-out for all stages, sources too', () => {
  const template = shop({ enhancedFanOut: true }).template()
  const consumers = all(template, 'AWS::Kinesis::StreamConsumer')
  assert.equal(consumers.length, 5)
  assert.equal(new Set(consumers.map(c => c.Properties.ConsumerName)).size, 5)
  for (const m of all(template, 'AWS::Lambda::EventSourceMapping'))
    assert.equal(m.Properties.EventSourceArn['Fn::GetAtt'][1], 'ConsumerARN')
})

test('an own key encrypts all that is at rest, and those who use it may', () => {
  const made = shop(stack => ({ encryptionKey: new Key(stack, 'Key', { enableKeyRotation: true }) }))
  const template = made.template()
  const [key] = Object.keys(resources(template, 'AWS::KMS::Key'))
  const arn = { 'Fn::GetAtt': [key, 'Arn'] }
  for (const { Properties: p } of all(template, 'AWS::Kinesis::Stream').slice(2))
    assert.deepEqual(p.StreamEncryption, { EncryptionType: 'KMS', KeyId: arn })
  for (const { Properties: p } of all(template, 'AWS::DynamoDB::Table'))
    assert.deepEqual(p.SSESpecification, { KMSMasterKeyId: arn, SSEEnabled: true, SSEType: 'KMS' })
  for (const { Properties: p } of all(template, 'AWS::Logs::LogGroup')) assert.deepEqual(p.KmsKeyId, arn)
  for (const { Properties: p } of Object.values(functions(template))) assert.deepEqual(p.KmsKeyArn, arn)
  template.hasResourceProperties('AWS::SQS::Queue', { KmsMasterKeyId: arn })
  template.hasResourceProperties('AWS::StepFunctions::StateMachine', {
    EncryptionConfiguration: Match.objectLike({ KmsKeyId: arn, Type: 'CUSTOMER_MANAGED_KMS_KEY' }),
  })
  const bucket = Object.entries(resources(template, 'AWS::S3::Bucket')).find(([id]) => id.startsWith('ShopBucket'))![1]
  assert.deepEqual(bucket.Properties.BucketEncryption.ServerSideEncryptionConfiguration, [
    { BucketKeyEnabled: true, ServerSideEncryptionByDefault: { KMSMasterKeyID: arn, SSEAlgorithm: 'aws:kms' } },
  ])
  for (const [name, fn] of Object.entries(functions(template))) {
    const may = new Set(actionsOn(template, fn.Properties.Role['Fn::GetAtt'][0], key!))
    assert.deepEqual([...may], ['kms:Decrypt', 'kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey'], name)
  }
  // CloudWatch Logs of this account alone.
  const [statement] = all(template, 'AWS::KMS::Key')[0]!.Properties.KeyPolicy.Statement.filter((s: any) =>
    JSON.stringify(s.Principal).includes('logs.'),
  )
  assert.match(JSON.stringify(statement.Condition), /kms:EncryptionContext:aws:logs:arn.*AWS::AccountId/)
  assert.deepEqual(nagFindings(made), [])
})

test('functions in a VPC share a security group that lets nothing in', () => {
  const made = shop(stack => ({ vpc: new Vpc(stack, 'Vpc', { maxAzs: 2, flowLogs: { all: {} } }) }))
  const template = made.template()
  const groups = resources(template, 'AWS::EC2::SecurityGroup')
  const [[id, group]] = Object.entries(groups) as [[string, any]]
  assert.equal(Object.keys(groups).length, 1)
  assert.equal(group.Properties.SecurityGroupIngress, undefined)
  // It answers to a URL of S3, which a VPC may have no way to.
  const { compatible, ...others } = functions(template)
  assert.equal(compatible!.Properties.VpcConfig, undefined)
  for (const [name, fn] of Object.entries(others)) {
    assert.deepEqual(fn.Properties.VpcConfig.SecurityGroupIds, [{ 'Fn::GetAtt': [id, 'GroupId'] }], name)
    assert.equal(fn.Properties.VpcConfig.SubnetIds.length, 2)
    const [ec2] = statementsOf(template, fn.Properties.Role['Fn::GetAtt'][0]).filter(s => s.Resource === '*')
    assert.equal([ec2!.Action].flat().length, 6)
    for (const action of [ec2!.Action].flat()) assert.match(action, /^ec2:\w*(NetworkInterface|Subnets|PrivateIpAddresses)/)
  }
  assert.deepEqual(nagFindings(made), [])
})

test('an imported stream names its key; then its stage, which Lambda polls as, its cut, and what restores may read it', () => {
  const arn = (resource: string) => `arn:aws:${resource}`
  const encrypted = 'kms:eu-west-1:111122223333:key/theirs'
  const template = shop(stack => ({
    sources: {
      clicks: Stream.fromStreamAttributes(stack, 'Theirs', {
        streamArn: arn('kinesis:eu-west-1:111122223333:stream/clicks'),
        encryptionKey: Key.fromKeyArn(stack, 'TheirKey', arn(encrypted)),
      }),
      orders: Stream.fromStreamArn(stack, 'Imported', arn('kinesis:eu-west-1:111122223333:stream/orders')),
    },
  })).template()
  for (const [name, { Properties }] of Object.entries(functions(template)))
    assert.deepEqual(
      actionsOn(template, Properties.Role['Fn::GetAtt'][0], encrypted),
      /^((stage|cut) source-clicks|checkpoint)$/.test(name) ? ['kms:Decrypt'] : [],
      name,
    )
})

test('no function in a VPC calls Step Functions, so that its endpoint is not needed: the schedule starts executions', () => {
  const template = shop(stack => ({ vpc: new Vpc(stack, 'Vpc', { maxAzs: 2, flowLogs: { all: {} } }) })).template()
  for (const [name, fn] of Object.entries(functions(template))) {
    const actions = statementsOf(template, fn.Properties.Role['Fn::GetAtt'][0]).flatMap(s => [s.Action].flat())
    assert.deepEqual(
      actions.filter(action => action.startsWith('states:')),
      [],
      name,
    )
  }
  const [machine] = Object.keys(resources(template, 'AWS::StepFunctions::StateMachine'))
  const [{ Properties: schedule }] = all(template, 'AWS::Scheduler::Schedule') as [any]
  assert.deepEqual([schedule.Target.Arn, schedule.Target.Input], [{ Ref: machine }, '{"repeat":true}'])
  const may = statementsOf(template, schedule.Target.RoleArn['Fn::GetAtt'][0])
  assert.deepEqual(
    may.map(({ Action, Resource }) => [Action, Resource]),
    [['states:StartExecution', { Ref: machine }]],
  )
})

test('existing streams, buckets and queues are used, with their keys', () => {
  const template = shop(stack => {
    const key = new Key(stack, 'Key')
    const clicks = new Stream(stack, 'Own', { encryption: StreamEncryption.KMS, encryptionKey: key })
    const orders = Stream.fromStreamArn(stack, 'Imported', 'arn:aws:kinesis:eu-west-1:111122223333:stream/orders')
    return {
      sources: { clicks, orders },
      bucket: Bucket.fromBucketName(stack, 'Kept', 'my-state'),
      onFailure: Queue.fromQueueArn(stack, 'Letters', 'arn:aws:sqs:eu-west-1:111122223333:letters'),
    }
  }).template()
  const made = functions(template)
  const source = made['stage source-clicks']!.Properties
  assert.equal(source.Environment.Variables.MILLRACE_BUCKET, 'my-state')
  assert.match(JSON.stringify(source.Environment.Variables.MILLRACE_SOURCES), /orders.*\\"orders\\"/)
  const [key] = Object.keys(resources(template, 'AWS::KMS::Key'))
  assert.deepEqual(actionsOn(template, source.Role['Fn::GetAtt'][0], key!), ['kms:Decrypt'])
  assert.deepEqual(actionsOn(template, made['cut source-clicks']!.Properties.Role['Fn::GetAtt'][0], key!), ['kms:Decrypt'])
  assert.equal(all(template, 'AWS::SQS::Queue').length, 0)
  for (const m of all(template, 'AWS::Lambda::EventSourceMapping'))
    assert.equal(m.Properties.DestinationConfig.OnFailure.Destination, 'arn:aws:sqs:eu-west-1:111122223333:letters')
  assert.equal(all(template, 'AWS::S3::Bucket').length, 1)
})

test('a topic or a bucket gets what could not be handed over, and the least rights for it', () => {
  for (const [kind, actions] of [
    ['topic', ['sns:Publish']],
    ['bucket', ['s3:ListBucket', 's3:PutObject']],
  ] as const) {
    const made = shop(stack => ({
      onFailure:
        kind === 'topic'
          ? new Topic(stack, 'Failures', { enforceSSL: true })
          : new Bucket(stack, 'Failures', { enforceSSL: true }),
    }))
    const template = made.template()
    assert.equal(all(template, 'AWS::SQS::Queue').length, 0)
    const role = functions(template)['stage pages']!.Properties.Role['Fn::GetAtt'][0]
    assert.deepEqual(actionsOn(template, role, 'Failures'), actions)
    assert.match(JSON.stringify(template.toJSON().Outputs.ShopDeadLetters), /Failures/)
    assert.ok(!all(template, 'AWS::CloudWatch::Alarm').some(a => /dead-letter queue/.test(a.Properties.AlarmDescription)))
    assert.deepEqual(nagFindings(made), [])
  }
})

test('tags are on everything that can have some, with the name of the pipeline', () => {
  const template = shop({ tags: { team: 'search' } }).template()
  const untagged = Object.entries(template.toJSON().Resources as Record<string, any>).filter(
    ([id, r]) => id.startsWith('Shop') && !JSON.stringify(r.Properties.Tags ?? '').includes('"team"'),
  )
  assert.deepEqual(
    [...new Set(untagged.map(([, r]) => r.Type))].sort(),
    // Those without tags in CloudFormation.
    [
      'AWS::IAM::Policy',
      'AWS::Lambda::EventInvokeConfig',
      'AWS::Logs::MetricFilter',
      'AWS::S3::BucketPolicy',
      'AWS::SQS::QueuePolicy',
      'AWS::Scheduler::Schedule',
      'Custom::MillraceCompatibleState',
    ],
  )
  assert.match(JSON.stringify(all(template, 'AWS::DynamoDB::Table')[0]!.Properties.Tags), /millrace:pipeline.*shop.*team.*search/)
})

test("a checkpoint each few minutes is the schedule's; one each few seconds is a chain of executions that it keeps alive", () => {
  const minutes = shop({ checkpointInterval: Duration.minutes(90), checkpointTimeout: Duration.minutes(5) }).template()
  minutes.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(90 minutes)' })
  const definitionOf = (template: typeof minutes) =>
    JSON.stringify(all(template, 'AWS::StepFunctions::StateMachine')[0]!.Properties)
  assert.match(definitionOf(minutes), /begun \+ 300000/)
  assert.doesNotMatch(definitionOf(minutes), /Start the next/)
  const controller = (template: typeof minutes) =>
    Object.keys(resources(template, 'AWS::IAM::Role')).find(id => id.includes('CheckpointsRole'))!
  const starts = (template: typeof minutes) =>
    statementsOf(template, controller(template)).filter(s => s.Action === 'states:StartExecution')
  assert.equal(starts(minutes).length, 0)

  const seconds = shop({ checkpointInterval: Duration.seconds(10) }).template()
  seconds.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(1 minute)' })
  assert.match(definitionOf(seconds), /Start the next/)
  assert.match(definitionOf(seconds), /begun \+ 10000/)
  const input = (template: typeof minutes) =>
    JSON.stringify(all(template, 'AWS::Scheduler::Schedule')[0]!.Properties.Target.Input)
  assert.match(input(seconds), /chain\\?":true/)
  assert.match(input(minutes), /chain\\?":false/)
  assert.match(JSON.stringify(starts(seconds)[0]!.Resource), /stateMachine:.*-checkpoints"/)
})

test('what is deployed stopped delivers nothing, and takes no checkpoints, until it is started', () => {
  const stopped = shop({ stopped: true }).template()
  const states = all(stopped, 'AWS::Lambda::EventSourceMapping').map(({ Properties }) => Properties.Enabled)
  assert.ok(states.length > 2)
  assert.deepEqual([...new Set(states)], [false])
  stopped.hasResourceProperties('AWS::Scheduler::Schedule', { State: 'DISABLED' })
  const running = shop().template()
  assert.ok(all(running, 'AWS::Lambda::EventSourceMapping').every(({ Properties }) => Properties.Enabled === undefined))
})

test('copies that a command has left in the bucket go after a day', () => {
  const [bucket] = all(shop().template(), 'AWS::S3::Bucket').filter(b => JSON.stringify(b).includes('restores/'))
  const rules: { Prefix?: string; ExpirationInDays?: number; Status: string }[] = bucket!.Properties.LifecycleConfiguration.Rules
  assert.deepEqual(
    rules.filter(({ Prefix }) => Prefix !== undefined),
    [{ Prefix: 'restores/', ExpirationInDays: 1, Status: 'Enabled' }],
  )
})

test('what is to go goes, and empties its bucket; logs stay as long as they are wanted', () => {
  const template = shop({
    removalPolicy: RemovalPolicy.DESTROY,
    logRetention: RetentionDays.ONE_WEEK,
    environment: { MODE: 'test' },
  }).template()
  for (const type of ['AWS::DynamoDB::Table', 'AWS::SQS::Queue'])
    for (const r of all(template, type)) assert.equal(r.DeletionPolicy, 'Delete')
  assert.equal(all(template, 'Custom::S3AutoDeleteObjects').length, 1)
  for (const r of all(template, 'AWS::Logs::LogGroup')) assert.equal(r.Properties.RetentionInDays, 7)
  for (const fn of Object.values(functions(template))) assert.equal(fn.Properties.Environment.Variables.MODE, 'test')
})

test('what a replaced run has left stays as long as the controller is told, else as it does by itself', () => {
  const kept = (template: ReturnType<ReturnType<typeof shop>['template']>) =>
    Object.entries(functions(template)).flatMap(([name, { Properties }]) => {
      const ms = Properties.Environment.Variables.MILLRACE_KEEP_FORMER_MS
      return ms === undefined ? [] : [[name, ms]]
    })
  assert.deepEqual(kept(shop({ replacedRunRetention: Duration.days(3) }).template()), [['checkpoint', '259200000']])
  assert.deepEqual(kept(shop().template()), [])
})

test('cdk-nag finds nothing in the pipeline, and does find what is wrong elsewhere', () => {
  const made = shop()
  assert.deepEqual(nagFindings(made), [])
  const broken = shop()
  new Queue(broken.pipeline, 'Plain')
  assert.deepEqual(nagFindings(broken).sort(), [
    'AwsSolutions-SQS3 Stack/Shop/Plain/Resource',
    'AwsSolutions-SQS4 Stack/Shop/Plain/Resource',
  ])
})

test('two pipelines in one stack have nothing in common', () => {
  const made = shop({}, { app: plainApp(), stackName: 'both' })
  const more = new Bucket(made.stack, 'More', { enforceSSL: true })
  const clicks = new Stream(made.stack, 'MoreClicks')
  ;new (made.pipeline.constructor as any)(made.stack, 'Second', {
    entry: new URL('fixtures/shop.ts', import.meta.url).pathname,
    sources: { clicks, orders: clicks },
    sinks: { pages: { bucket: more }, buyers: { bucket: more } },
  })
  const names = all(made.template(), 'AWS::Kinesis::Stream').flatMap(s => s.Properties.Name ?? [])
  assert.equal(new Set(names).size, 6)
})

test('whether code may take a new run, and drop state, is asked of the check of what is there', () => {
  for (const [newRun, expected] of [
    [undefined, undefined],
    [{}, 'keep'],
    [{ allowDrop: true }, 'drop'],
  ] as const)
    assert.equal(all(shop(newRun && { newRun }).template(), 'Custom::MillraceCompatibleState')[0]!.Properties.NewRun, expected)
})

test('the state backend is what the stack says, else what the pipeline says, for all functions and for the check of what is there', () => {
  for (const [props, expected] of [
    [{}, 'table'],
    [{ stateBackend: 'segments' as const }, 'segments'],
  ] as const) {
    const template = shop(props).template()
    for (const { Properties } of Object.values(functions(template)))
      assert.equal(Properties.Environment.Variables.MILLRACE_STATE_BACKEND, expected)
    assert.equal(all(template, 'Custom::MillraceCompatibleState')[0]!.Properties.StateBackend, expected)
  }
  assert.throws(() => shop({ stateBackend: 'rocksdb' as 'table' }), /stateBackend is 'rocksdb': 'table' or 'segments' is needed/)
})
