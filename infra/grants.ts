import { Grant, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import { acknowledgeWildcard } from './acknowledge.ts'
import type { FilesInBucket } from './props.ts'
import type { Storage } from './storage.ts'

/** What each function may do (docs/aws-ports.md has the actions of the ports): no managed policies, and no resource but the pipeline's own. */

const READ = ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:Query']
/** Deletes many rows, also those that nobody knows the names of. */
const CLEAR = ['dynamodb:Scan', 'dynamodb:BatchWriteItem']
/** DynamoDB uses a key with the rights of who uses the table. */
const KEYS = ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey', 'kms:DescribeKey']
const OBJECTS = 'Objects are named by run, subtask and version; all of this pipeline, and nothing else, lies there.'

/** A subtask at work: reads log and state, commits, stashes large changes. */
export function grantSubtask(to: IFunction, storage: Storage): void {
  allow(to, [...READ, 'dynamodb:PutItem'], [storage.log.tableArn])
  allow(to, READ, [storage.state.tableArn])
  grantObjects(to, storage, ['s3:GetObject', 's3:PutObject'])
  grantKeys(to, [storage.key, storage.bucket.encryptionKey])
}

/** Takes over from shards that were split or merged: brings what their logs have to the base, and begins a log (runtime/aws/functions/take-over.ts). */
export function grantTakingOver(to: IFunction, storage: Storage): void {
  allow(to, ['dynamodb:UpdateItem'], [storage.log.tableArn])
  allow(to, ['dynamodb:PutItem', 'dynamodb:DeleteItem'], [storage.state.tableArn])
  // A value too large for a row is an object, and goes when the row says something else.
  const values = storage.bucket.arnForObjects('values/*')
  allow(to, ['s3:DeleteObject'], [values])
  acknowledgeWildcard(to.role!, values, OBJECTS)
}

/** Reads which run there is. */
export function grantLooking(to: IFunction, storage: Storage): void {
  allow(to, READ, [storage.log.tableArn])
  grantKeys(to, [storage.key])
}

/** Folds logs into state. */
export function grantMaterialise(to: IFunction, storage: Storage): void {
  allow(to, READ, [storage.log.tableArn])
  allow(to, [...READ, 'dynamodb:PutItem', 'dynamodb:DeleteItem'], [storage.state.tableArn])
  grantObjects(to, storage, ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'])
  grantKeys(to, [storage.key, storage.bucket.encryptionKey])
}

/** Starts, decides and cleans up behind checkpoints, and what runs have left that others have taken the place of. */
export function grantCheckpoint(to: IFunction, storage: Storage): void {
  allow(to, [...READ, ...CLEAR, 'dynamodb:PutItem', 'dynamodb:UpdateItem'], [storage.log.tableArn])
  allow(to, [...READ, ...CLEAR, 'dynamodb:PutItem', 'dynamodb:DeleteItem'], [storage.state.tableArn])
  grantObjects(to, storage, ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'])
  grantKeys(to, [storage.key, storage.bucket.encryptionKey])
}

/** An event source mapping polls with the function's role, and says so if any of these is missing. `consumerArn`: of a reader of its own. */
export function grantPolling(to: IFunction, stream: IStream, consumerArn: string | undefined): void {
  const actions = ['DescribeStream', 'DescribeStreamSummary', 'GetRecords', 'GetShardIterator', 'ListShards', 'ListStreams']
  allow(
    to,
    actions.map(action => `kinesis:${action}`),
    [stream.streamArn],
  )
  if (consumerArn !== undefined) allow(to, ['kinesis:SubscribeToShard', 'kinesis:DescribeStreamConsumer'], [consumerArn])
  if (stream.encryptionKey !== undefined) allow(to, ['kms:Decrypt'], [stream.encryptionKey.keyArn])
}

export function grantSending(to: IFunction, streams: readonly IStream[]): void {
  if (streams.length === 0) return
  allow(
    to,
    ['kinesis:PutRecord', 'kinesis:ListShards'],
    streams.map(({ streamArn }) => streamArn),
  )
}

/** The shards of the sources are the splits of the run, which whoever comes first makes. */
export function grantListing(to: IFunction, streams: readonly IStream[]): void {
  if (streams.length === 0) return
  allow(
    to,
    ['kinesis:ListShards'],
    streams.map(({ streamArn }) => streamArn),
  )
}

/** A shard of a source that was split or merged is at its end when reading it gives nothing more: its list does not say. */
export function grantReading(to: IFunction, stream: IStream): void {
  allow(to, ['kinesis:GetShardIterator', 'kinesis:GetRecords'], [stream.streamArn])
  if (stream.encryptionKey !== undefined) allow(to, ['kms:Decrypt'], [stream.encryptionKey.keyArn])
}

/** Staging files, and making them visible (connectors/blob-staging.ts). */
export function grantFiles(to: IFunction, { bucket, prefix }: Required<FilesInBucket>, sink: string): void {
  const below = [`${prefix}${sink}/*`, `${prefix}_staging/${sink}/*`]
  const objects = below.map(keys => bucket.arnForObjects(keys))
  allow(to, ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'], objects)
  to.role!.addToPrincipalPolicy(
    new PolicyStatement({
      actions: ['s3:ListBucket'],
      resources: [bucket.bucketArn],
      conditions: { StringLike: { 's3:prefix': below } },
    }),
  )
  grantKeys(to, [bucket.encryptionKey])
  for (const arn of objects) acknowledgeWildcard(to.role!, arn, `Files of sink ${sink}, named by run and checkpoint.`)
}

/** As AWSLambdaVPCAccessExecutionRole has it, without its logs. */
export function grantVpc(to: IFunction): void {
  const interfaces = ['CreateNetworkInterface', 'DescribeNetworkInterfaces', 'DeleteNetworkInterface']
  const actions = [...interfaces, 'DescribeSubnets', 'AssignPrivateIpAddresses', 'UnassignPrivateIpAddresses']
  allow(
    to,
    actions.map(action => `ec2:${action}`),
    ['*'],
  )
  acknowledgeWildcard(
    to.role!,
    '*',
    'Network interfaces of a function in a VPC: Lambda names them, and looking for them can not be limited.',
  )
}

function grantObjects(to: IFunction, { bucket }: Storage, actions: readonly string[]): void {
  const objects = bucket.arnForObjects('*')
  allow(to, actions, [objects])
  // Without it S3 answers 403 for an object that is not there.
  allow(to, ['s3:ListBucket'], [bucket.bucketArn])
  acknowledgeWildcard(to.role!, objects, OBJECTS)
}

export function grantKeys(to: IFunction, keys: readonly (IKey | undefined)[]): void {
  const arns = new Set(keys.flatMap(key => key?.keyArn ?? []))
  if (arns.size > 0) allow(to, KEYS, [...arns])
}

export function allow(to: IFunction, actions: readonly string[], resourceArns: readonly string[]): void {
  Grant.addToPrincipal({ grantee: to, actions: [...actions], resourceArns: [...resourceArns] }).assertSuccess()
}
