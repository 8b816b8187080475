import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { Rule } from 'aws-cdk-lib/aws-events'
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { CfnEventSourceMapping, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import { CfnBucket, type IBucket } from 'aws-cdk-lib/aws-s3'
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import type { PhysicalStage } from '../runtime/graph/plan.ts'
import { acknowledge, acknowledgeWildcard } from './acknowledge.ts'
import { isQueue } from './failures.ts'
import { allow } from './grants.ts'
import { type ObjectsInBucket, subtasksOf } from './sources.ts'
import type { StageOptions } from './stage-options.ts'
import type { Storage } from './storage.ts'

/** As long as SQS can. */
const KEPT = Duration.days(14)
/** Beyond the function's time-out, until a message that is not through comes again: an object that takes several invocations waits for it each time. */
const AGAIN_AFTER = Duration.seconds(15)
/** The least that Lambda takes. */
const CONCURRENCY_MIN = 2
const EVENTS = new ServicePrincipal('events.amazonaws.com')

export interface ObjectsReading extends Pick<StageOptions, 'batchSize' | 'batchWindow' | 'timeout'> {
  readonly removalPolicy: RemovalPolicy | undefined
}

/**
 * New objects by EventBridge, which a bucket may tell of them besides all others that it tells, and over stacks; and through a queue, where a message stays until its object is read. Nothing is
 * given up by the queue: what is no message of EventBridge's, the function keeps in the bucket.
 */
export function mapObjects(
  scope: Construct,
  stage: PhysicalStage,
  target: LambdaFunction,
  source: ObjectsInBucket,
  reading: ObjectsReading,
  storage: Storage,
): { readonly mapping: CfnEventSourceMapping; readonly queue: IQueue } {
  const { batchSize, batchWindow } = reading
  const queue = makeQueue(scope, stage, reading, storage.key)
  tellEventBridge(source.bucket)
  const rule = makeRule(scope, stage, source, queue, storage)
  allowEvents(queue, rule)
  if (isQueue(storage.deadLetters)) allowEvents(storage.deadLetters, rule)
  if (storage.key !== undefined) allowKey(storage.key, scope)
  grantObjectsOf(target, source, queue)
  const mapping = new CfnEventSourceMapping(scope, `Mapping-${stage.id}`, {
    functionName: target.functionName,
    eventSourceArn: queue.queueArn,
    batchSize,
    maximumBatchingWindowInSeconds: batchWindow?.toSeconds(),
    functionResponseTypes: ['ReportBatchItemFailures'],
    // More would read the same objects, and lose their races.
    scalingConfig: { maximumConcurrency: Math.max(CONCURRENCY_MIN, subtasksOf(source)) },
  })
  mapping.node.addDependency(target.role!)
  return { mapping, queue }
}

function makeQueue(
  scope: Construct,
  stage: PhysicalStage,
  { timeout, batchWindow, removalPolicy = RemovalPolicy.RETAIN }: ObjectsReading,
  key: IKey | undefined,
): Queue {
  const queue = new Queue(scope, `Objects-${stage.id}`, {
    encryption: key === undefined ? QueueEncryption.SQS_MANAGED : QueueEncryption.KMS,
    encryptionMasterKey: key,
    enforceSSL: true,
    retentionPeriod: KEPT,
    visibilityTimeout: timeout.plus(batchWindow ?? Duration.seconds(0)).plus(AGAIN_AFTER),
    removalPolicy,
  })
  acknowledge(queue, {
    'AwsSolutions-SQS3':
      'A large object takes many deliveries, and one that fails is tried until it is through: a dead-letter queue would give both up. What announces no object, the function keeps in the bucket.',
  })
  return queue
}

function makeRule(
  scope: Construct,
  { id }: PhysicalStage,
  source: ObjectsInBucket,
  queue: IQueue,
  { deadLetters }: Storage,
): Rule {
  const arn = queue.queueArn
  const keys = keysOf(source)
  return new Rule(scope, `NewObjects-${id}`, {
    description: `Millrace: new objects for ${id}`,
    eventPattern: {
      source: ['aws.s3'],
      detailType: ['Object Created'],
      detail: { bucket: { name: [source.bucket.bucketName] }, ...(keys !== undefined && { object: { key: keys } }) },
    },
    // What the queue has not taken for a day.
    targets: [{ bind: () => ({ arn, ...(isQueue(deadLetters) && { deadLetterConfig: { arn: deadLetters.queueArn } }) }) }],
  })
}

function keysOf({ prefix, suffix }: ObjectsInBucket): object[] | undefined {
  if (prefix && suffix) return [{ wildcard: `${literal(prefix)}*${literal(suffix)}` }]
  if (prefix) return [{ prefix }]
  return suffix ? [{ suffix }] : undefined
}

function literal(text: string): string {
  return text.replaceAll(/[*\\]/g, '\\$&')
}

/** Unless its template says so already: in CDK that is a resource which a function makes, and CDK keeps what else the bucket tells. */
function tellEventBridge(bucket: IBucket): void {
  const made = bucket.node.defaultChild
  if (made instanceof CfnBucket && Stack.of(made).resolve(made.notificationConfiguration)?.eventBridgeConfiguration) return
  bucket.enableEventBridgeNotification()
  const handler = Stack.of(bucket.node.findChild('Notifications')).node.children.find(({ node }) =>
    node.id.startsWith('BucketNotificationsHandler'),
  )
  if (handler === undefined) return
  const reason = "CDK's own function, which sets what buckets tell: it is one for all buckets of a stack."
  for (const made of handler.node.findAll())
    acknowledge(made, {
      'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]': reason,
    })
}

function allowEvents(queue: IQueue, { ruleArn }: Rule): void {
  queue.addToResourcePolicy(
    new PolicyStatement({
      principals: [EVENTS],
      actions: ['sqs:SendMessage'],
      resources: [queue.queueArn],
      conditions: { ArnEquals: { 'aws:SourceArn': ruleArn } },
    }),
  )
}

/** Not by the rule, which needs the queue, which needs the key. */
function allowKey(key: IKey, scope: Construct): void {
  key.addToResourcePolicy(
    new PolicyStatement({
      principals: [EVENTS],
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resources: ['*'],
      conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(scope).account } },
    }),
  )
}

function grantObjectsOf(to: LambdaFunction, { bucket, prefix = '' }: ObjectsInBucket, queue: IQueue): void {
  allow(to, ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], [queue.queueArn])
  const objects = bucket.arnForObjects(`${prefix}*`)
  allow(to, ['s3:GetObject', 's3:GetObjectVersion'], [objects])
  acknowledgeWildcard(to.role!, objects, 'The objects that the source reads: nobody knows their names beforehand.')
  // Without these, S3 answers 403 for an object, or a version, that is not there any more.
  allow(to, ['s3:ListBucket', 's3:ListBucketVersions'], [bucket.bucketArn])
  if (bucket.encryptionKey !== undefined) allow(to, ['kms:Decrypt'], [bucket.encryptionKey.keyArn])
}
