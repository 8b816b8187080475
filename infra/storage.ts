import { Duration, RemovalPolicy } from 'aws-cdk-lib'
import { AttributeType, BillingMode, type ITable, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket, ObjectOwnership } from 'aws-cdk-lib/aws-s3'
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'

import type { Construct } from 'constructs'
import { PARTITION_KEY, SORT_KEY } from '../runtime/aws/row.ts'
import { acknowledge } from './acknowledge.ts'
import type { MillracePipelineProps } from './props.ts'

/** What the ports stand on, besides the streams. */
export interface Storage {
  readonly log: ITable
  readonly state: ITable
  readonly bucket: IBucket
  readonly deadLetters: IQueue
  readonly key: IKey | undefined
}

const DEAD_LETTERS_KEPT = Duration.days(14)
const UPLOADS_ABANDONED_AFTER = Duration.days(1)

export function makeStorage(scope: Construct, props: MillracePipelineProps): Storage {
  const { encryptionKey: key, removalPolicy = RemovalPolicy.RETAIN } = props
  return {
    log: makeTable(scope, 'Log', removalPolicy, key),
    state: makeTable(scope, 'State', removalPolicy, key),
    bucket: props.bucket ?? makeBucket(scope, removalPolicy, key),
    deadLetters: props.deadLetterQueue ?? makeQueue(scope, removalPolicy, key),
    key,
  }
}

/** Keys as runtime/aws has them. No TTL: nothing of the engine's is deleted by age (protocol.md, C4). */
function makeTable(scope: Construct, id: string, removalPolicy: RemovalPolicy, encryptionKey: IKey | undefined): ITable {
  return new Table(scope, id, {
    partitionKey: { name: PARTITION_KEY, type: AttributeType.STRING },
    sortKey: { name: SORT_KEY, type: AttributeType.STRING },
    billingMode: BillingMode.PAY_PER_REQUEST,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    encryption: encryptionKey === undefined ? TableEncryption.DEFAULT : TableEncryption.CUSTOMER_MANAGED,
    encryptionKey,
    removalPolicy,
  })
}

function makeBucket(scope: Construct, removalPolicy: RemovalPolicy, encryptionKey: IKey | undefined): IBucket {
  const bucket = new Bucket(scope, 'Bucket', {
    encryption: encryptionKey === undefined ? BucketEncryption.S3_MANAGED : BucketEncryption.KMS,
    encryptionKey,
    // One data key for many objects: a checkpoint writes thousands.
    ...(encryptionKey !== undefined && { bucketKeyEnabled: true }),
    enforceSSL: true,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    lifecycleRules: [{ abortIncompleteMultipartUploadAfter: UPLOADS_ABANDONED_AFTER }],
    removalPolicy,
    autoDeleteObjects: removalPolicy === RemovalPolicy.DESTROY,
  })
  acknowledge(bucket, {
    'AwsSolutions-S1':
      'Only the functions of this pipeline read and write here, thousands of small objects: access logs would be larger than what they tell of. A bucket that is given to the construct may have them.',
  })
  return bucket
}

function makeQueue(scope: Construct, removalPolicy: RemovalPolicy, key: IKey | undefined): IQueue {
  const queue = new Queue(scope, 'DeadLetters', {
    encryption: key === undefined ? QueueEncryption.SQS_MANAGED : QueueEncryption.KMS,
    encryptionMasterKey: key,
    enforceSSL: true,
    retentionPeriod: DEAD_LETTERS_KEPT,
    removalPolicy,
  })
  acknowledge(queue, { 'AwsSolutions-SQS3': 'It is the dead-letter queue itself.' })
  return queue
}
