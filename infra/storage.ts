import { Duration, RemovalPolicy } from 'aws-cdk-lib'
import { AttributeType, BillingMode, type ITable, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket, ObjectOwnership } from 'aws-cdk-lib/aws-s3'
import type { ITopic } from 'aws-cdk-lib/aws-sns'
import type { IQueue } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import { SNAPSHOT_COPIES } from '../runtime/aws/names.ts'
import { PARTITION_KEY, SORT_KEY } from '../runtime/aws/row.ts'
import { acknowledge } from './acknowledge.ts'
import { makeQueue } from './failures.ts'
import type { MillracePipelineProps } from './props.ts'

/** What the ports stand on, besides the streams. */
export interface Storage {
  readonly log: ITable
  readonly state: ITable
  readonly bucket: IBucket
  /** Where Lambda reports what it could not hand over: a queue, unless `onFailure` says otherwise. */
  readonly deadLetters: IQueue | ITopic | IBucket
  readonly key: IKey | undefined
}

const UPLOADS_ABANDONED_AFTER = Duration.days(1)
/** Of a command that died while a run was started from a snapshot. */
const COPIES_ABANDONED_AFTER = Duration.days(1)

export function makeStorage(scope: Construct, props: MillracePipelineProps): Storage {
  const { encryptionKey: key, removalPolicy = RemovalPolicy.RETAIN } = props
  return {
    log: makeTable(scope, 'Log', removalPolicy, key),
    state: makeTable(scope, 'State', removalPolicy, key),
    bucket: props.bucket ?? makeBucket(scope, removalPolicy, key),
    deadLetters: props.onFailure ?? makeQueue(scope, removalPolicy, key),
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
    lifecycleRules: [
      { abortIncompleteMultipartUploadAfter: UPLOADS_ABANDONED_AFTER },
      { prefix: SNAPSHOT_COPIES, expiration: COPIES_ABANDONED_AFTER },
    ],
    removalPolicy,
    autoDeleteObjects: removalPolicy === RemovalPolicy.DESTROY,
  })
  acknowledge(bucket, {
    'AwsSolutions-S1':
      'Only the functions of this pipeline read and write here, thousands of small objects: access logs would be larger than what they tell of. A bucket that is given to the construct may have them.',
  })
  return bucket
}
