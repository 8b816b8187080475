import { Duration, type RemovalPolicy } from 'aws-cdk-lib'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import { acknowledge, acknowledgeWildcard } from './acknowledge.ts'
import { allow, grantKeys } from './grants.ts'

const KEPT = Duration.days(14)

/** Where Lambda tells of records that it could not hand over at all, with the rights of the function that they were for. */
export function failureArn(destination: IQueue | ITopic | IBucket): string {
  if (isQueue(destination)) return destination.queueArn
  return 'topicArn' in destination ? destination.topicArn : destination.bucketArn
}

export function grantFailures(to: IFunction, destination: IQueue | ITopic | IBucket): void {
  if (isQueue(destination)) {
    allow(to, ['sqs:SendMessage'], [destination.queueArn])
    grantKeys(to, [destination.encryptionMasterKey])
  } else if ('topicArn' in destination) {
    allow(to, ['sns:Publish'], [destination.topicArn])
    grantKeys(to, [destination.masterKey])
  } else {
    const objects = destination.arnForObjects('*')
    allow(to, ['s3:PutObject'], [objects])
    allow(to, ['s3:ListBucket'], [destination.bucketArn])
    acknowledgeWildcard(to.role!, objects, 'Lambda names the objects, by function, shard and time.')
    grantKeys(to, [destination.encryptionKey])
  }
}

export function isQueue(destination: IQueue | ITopic | IBucket): destination is IQueue {
  return 'queueArn' in destination
}

export function makeQueue(scope: Construct, removalPolicy: RemovalPolicy, key: IKey | undefined): IQueue {
  const queue = new Queue(scope, 'DeadLetters', {
    encryption: key === undefined ? QueueEncryption.SQS_MANAGED : QueueEncryption.KMS,
    encryptionMasterKey: key,
    enforceSSL: true,
    retentionPeriod: KEPT,
    removalPolicy,
  })
  acknowledge(queue, { 'AwsSolutions-SQS3': 'It is the dead-letter queue itself.' })
  return queue
}
