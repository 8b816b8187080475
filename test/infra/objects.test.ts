import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Bucket, BucketEncryption, CfnBucket, type IBucket } from 'aws-cdk-lib/aws-s3'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { acknowledge } from '../../infra/acknowledge.ts'
import { InfraError, type MillracePipelineProps, type ObjectsInBucket } from '../../infra/index.ts'
import { actionsOn, functions, nagFindings, plainApp, resources, shop, statementsOf } from './stacks.ts'

type Made = ReturnType<typeof shop>
type Objects = (stack: Stack) => ObjectsInBucket

/** The shop with its orders from a bucket. */
function withOrders(objects: Objects, props: (stack: Stack) => Partial<MillracePipelineProps> = () => ({})): Made {
  return shop(stack => ({ sources: { clicks: new Stream(stack, 'C'), orders: { objects: objects(stack) } }, ...props(stack) }))
}

function inBucket(stack: Stack, props = {}): Bucket {
  const bucket = new Bucket(stack, 'In', { enforceSSL: true, ...props })
  acknowledge(bucket, { 'AwsSolutions-S1': 'a test' })
  return bucket
}

function sourceOf(made: Made) {
  const template = made.template()
  const { logicalId, Properties } = functions(template)['stage source-orders']!
  const of = (type: string) => Object.values(resources(template, type)).map(r => r.Properties)
  const mapping = of('AWS::Lambda::EventSourceMapping').find(m => m.FunctionName.Ref === logicalId)!
  const [queueId] = mapping.EventSourceArn['Fn::GetAtt']
  const queue = resources(template, 'AWS::SQS::Queue')[queueId]!
  const policies = of('AWS::SQS::QueuePolicy')
  const statementsAt = (id: string) =>
    policies.find(p => p.Queues.some((q: any) => q.Ref === id))!.PolicyDocument.Statement as any[]
  const [rule] = of('AWS::Events::Rule')
  return {
    template,
    mapping,
    queueId,
    queue,
    statementsAt,
    rule: rule!,
    role: Properties.Role['Fn::GetAtt'][0] as string,
    fn: Properties,
  }
}

test('a queue, a rule for its objects, and a mapping that gives nothing up', () => {
  const made = withOrders(stack => ({ bucket: inBucket(stack), prefix: 'orders/', suffix: '.gz', subtasks: 3 }))
  const { template, mapping, queueId, queue, statementsAt, rule, role, fn } = sourceOf(made)
  const { FunctionName: _, EventSourceArn: __, Tags: ___, ...rest } = mapping
  assert.deepEqual(rest, {
    BatchSize: 10,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    ScalingConfig: { MaximumConcurrency: 3 },
  })
  const { Tags: ____, ...properties } = queue.Properties
  assert.deepEqual(properties, { SqsManagedSseEnabled: true, MessageRetentionPeriod: 14 * 86_400, VisibilityTimeout: 75 })
  assert.deepEqual([queue.DeletionPolicy, queue.UpdateReplacePolicy], ['Retain', 'Retain'])
  const { bucket, object } = rule.EventPattern.detail
  assert.match(bucket.name[0].Ref, /^In/)
  assert.deepEqual(object, { key: [{ wildcard: 'orders/*.gz' }] })
  assert.deepEqual([rule.EventPattern.source, rule.EventPattern['detail-type']], [['aws.s3'], ['Object Created']])
  const [ruleId] = Object.keys(resources(template, 'AWS::Events::Rule'))
  const [target] = rule.Targets
  assert.equal(target.Arn['Fn::GetAtt'][0], queueId)
  const deadLetters = target.DeadLetterConfig.Arn['Fn::GetAtt'][0]
  assert.match(deadLetters, /ShopDeadLetters/)
  for (const id of [queueId, deadLetters]) {
    const [tls, events, ...others] = statementsAt(id)
    assert.deepEqual([tls.Effect, tls.Condition, others], ['Deny', { Bool: { 'aws:SecureTransport': 'false' } }, []])
    assert.deepEqual([events.Principal, events.Action], [{ Service: 'events.amazonaws.com' }, 'sqs:SendMessage'])
    assert.equal(events.Condition.ArnEquals['aws:SourceArn']['Fn::GetAtt'][0], ruleId)
  }
  assert.deepEqual(actionsOn(template, role, queueId), ['sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'])
  assert.deepEqual(actionsOn(template, role, 'In'), [
    's3:GetObject',
    's3:GetObjectVersion',
    's3:ListBucket',
    's3:ListBucketVersions',
  ])
  const reading = statementsOf(template, role).find(s => [s.Action].flat().includes('s3:GetObjectVersion'))
  assert.match(JSON.stringify(reading!.Resource), /"\/orders\/\*"/)
  for (const other of ['cut source-orders', 'stage sessions', 'checkpoint', 'materialise']) {
    const its = functions(template)[other]!.Properties.Role['Fn::GetAtt'][0]
    for (const on of [queueId, 'In']) assert.deepEqual(actionsOn(template, its, on), [], other)
  }
  assert.match(JSON.stringify(fn.Environment.Variables.MILLRACE_SOURCES), /\\"orders\\":\{\\"kind\\":\\"s3\\",\\"subtasks\\":3\}/)
  assert.match(JSON.stringify(template.toJSON().Outputs.ShopStages), new RegExp(`queue.*${queueId}`))
  for (const below of ['Shop/', 'In/', 'BucketNotifications']) assert.deepEqual(nagFindings(made, below), [])
})

test('which objects: by prefix, by suffix, by both as they are, or all', () => {
  const keys = (filters: Partial<ObjectsInBucket>) =>
    sourceOf(withOrders(stack => ({ bucket: inBucket(stack), ...filters }))).rule.EventPattern.detail.object
  assert.deepEqual(keys({ prefix: 'a/' }), { key: [{ prefix: 'a/' }] })
  assert.deepEqual(keys({ suffix: '.json' }), { key: [{ suffix: '.json' }] })
  assert.deepEqual(keys({ prefix: 'a*\\', suffix: 'b' }), { key: [{ wildcard: 'a\\*\\\\*b' }] })
  assert.equal(keys({}), undefined)
})

test('the bucket is made to tell EventBridge: one of the stack, one that is there, one of another stack; one that does already is left alone', () => {
  const notifications = (template: Template) =>
    Object.values(resources(template, 'Custom::S3BucketNotifications')).map(r => r.Properties)
  const told = (objects: Objects) => notifications(sourceOf(withOrders(objects)).template)
  const [own] = told(stack => ({ bucket: inBucket(stack) }))
  assert.deepEqual([own.NotificationConfiguration, own.Managed], [{ EventBridgeConfiguration: {} }, true])
  const theirs = withOrders(stack => ({ bucket: Bucket.fromBucketName(stack, 'In', 'theirs') }))
  assert.deepEqual(nagFindings(theirs, 'BucketNotifications'), [])
  const [imported] = told(stack => ({ bucket: Bucket.fromBucketName(stack, 'In', 'theirs') }))
  assert.deepEqual([imported.BucketName, imported.Managed], ['theirs', false])
  const already = (stack: Stack): ObjectsInBucket => {
    const eventBridgeConfiguration = { eventBridgeEnabled: true }
    return {
      bucket: Bucket.fromCfnBucket(new CfnBucket(stack, 'In', { notificationConfiguration: { eventBridgeConfiguration } })),
    }
  }
  assert.deepEqual(told(already), [])
  const app = plainApp()
  const others = new Stack(app, 'Others')
  const bucket = inBucket(others)
  const made = shop(stack => ({ sources: { clicks: new Stream(stack, 'C'), orders: { objects: { bucket } } } }), { app })
  assert.deepEqual(notifications(made.template()), [])
  assert.equal(notifications(Template.fromStack(others)).length, 1)
})

test('an own key: of the queue, which EventBridge may use; of the bucket, which the stage may; batches that are waited for; a topic for failures', () => {
  const made = withOrders(
    stack => ({ bucket: inBucket(stack, { encryption: BucketEncryption.KMS, encryptionKey: new Key(stack, 'Theirs') }) }),
    stack => ({
      encryptionKey: new Key(stack, 'Own', { enableKeyRotation: true }),
      onFailure: new Topic(stack, 'Failures'),
      removalPolicy: RemovalPolicy.DESTROY,
      stages: { 'source-orders': { batching: { size: 500, window: Duration.seconds(20) }, timeout: Duration.minutes(2) } },
    }),
  )
  const { template, mapping, queue, rule, role } = sourceOf(made)
  assert.deepEqual(
    [mapping.BatchSize, mapping.MaximumBatchingWindowInSeconds, mapping.ScalingConfig],
    [500, 20, { MaximumConcurrency: 2 }],
  )
  assert.equal(queue.Properties.VisibilityTimeout, 155)
  assert.match(JSON.stringify(queue.Properties.KmsMasterKeyId), /Own/)
  assert.equal(queue.DeletionPolicy, 'Delete')
  assert.equal(rule.Targets[0].DeadLetterConfig, undefined)
  const keys = resources(template, 'AWS::KMS::Key')
  const own = Object.entries(keys).find(([id]) => id.startsWith('Own'))![1].Properties.KeyPolicy.Statement as any[]
  assert.deepEqual(
    own.filter(s => s.Principal.Service === 'events.amazonaws.com').map(s => [s.Action, s.Condition]),
    [[['kms:Decrypt', 'kms:GenerateDataKey'], { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } }]],
  )
  assert.deepEqual(actionsOn(template, role, 'Theirs'), ['kms:Decrypt'])
})

test('an alarm for objects that are not read, and the dashboard, go by the age of the oldest message', () => {
  const { template, queueId } = sourceOf(withOrders(stack => ({ bucket: inBucket(stack) })))
  const alarms = Object.values(resources(template, 'AWS::CloudWatch::Alarm')).map(r => r.Properties)
  const alarm = alarms.find(a => /source-orders has not read an object/.test(a.AlarmDescription))!
  assert.equal(alarm.Threshold, 600_000)
  const metric = alarm.Metrics.find((m: any) => m.MetricStat !== undefined).MetricStat
  assert.equal(metric.Metric.MetricName, 'ApproximateAgeOfOldestMessage')
  assert.equal(metric.Metric.Dimensions[0].Value['Fn::GetAtt'][0], queueId)
  assert.match(
    JSON.stringify(Object.values(resources(template, 'AWS::CloudWatch::Dashboard'))[0]),
    /ApproximateAgeOfOldestMessage/,
  )
})

test('what can not be is refused by name', () => {
  const refused = (...given: Parameters<typeof withOrders>) => {
    try {
      withOrders(...given)
    } catch (error) {
      assert.ok(error instanceof InfraError, String(error))
      return error.message
    }
    throw new assert.AssertionError({ message: 'it was accepted' })
  }
  assert.equal(
    refused(stack => ({ bucket: inBucket(stack), subtasks: 0 })),
    'sources.orders.objects.subtasks is 0: a whole number from 1 on is needed',
  )
  assert.match(
    refused(
      stack => ({ bucket: inBucket(stack) }),
      () => ({ batching: { size: 100 } }),
    ),
    /^batching: SQS gives more than 10 messages only to who waits for them\. Stage source-orders reads objects: set stages\.source-orders\.batching/,
  )
  const results = (stack: Stack): IBucket => stack.node.findChild('Results') as Bucket
  for (const prefix of [undefined, 'b/', 'b/buyers/run', 'b/_staging/'])
    assert.match(
      refused(stack => ({ bucket: results(stack), prefix })),
      /^sources\.orders\.objects would read what sink '(pages|buyers)' writes, (pages|b\/buyers)\/… in the same bucket/,
    )
  withOrders(stack => ({ bucket: results(stack), prefix: 'orders/' }))
  assert.match(
    refused(
      stack => ({ bucket: results(stack), prefix: 'orders/' }),
      stack => ({ bucket: results(stack) }),
    ),
    /^sources\.orders\.objects\.bucket is `bucket`, where the pipeline's own state lies/,
  )
})
