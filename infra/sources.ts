import { Stack } from 'aws-cdk-lib'
import { CfnGlobalTable, type ITable } from 'aws-cdk-lib/aws-dynamodb'
import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { SourceSetting } from '../runtime/aws/functions/settings.ts'
import { InfraError } from './error.ts'
import { checkNumber } from './stage-options.ts'

/** What a source reads: a Kinesis stream, a topic of Kafka, the changes of a DynamoDB table, or the objects of a bucket. */
export type SourceProps =
  | IStream
  | { readonly kafka: KafkaTopic }
  | { readonly changes: TableChanges }
  | { readonly objects: ObjectsInBucket }

/**
 * A topic of MSK (`clusterArn`), or of any other Kafka that Lambda can reach (`bootstrapServers`). One JSON value a record; a tombstone is null.
 *
 * @example
 * sources: { orders: { kafka: { topic: 'orders', partitions: 12, clusterArn: cluster.attrArn } } }
 */
export interface KafkaTopic {
  readonly topic: string
  /** As many as the topic has: each is a subtask. They can't change over a running pipeline: records of a partition that is not among them are refused. */
  readonly partitions: number
  readonly clusterArn?: string
  readonly bootstrapServers?: readonly string[]
  /** How Lambda shows who it is. Default: of MSK the function's role, if the cluster takes roles; of others nothing. */
  readonly secret?: ISecret
  /** What the secret is of. Default SASL_SCRAM_512_AUTH. */
  readonly authentication?: 'SASL_SCRAM_512_AUTH' | 'SASL_SCRAM_256_AUTH' | 'BASIC_AUTH' | 'CLIENT_CERTIFICATE_TLS_AUTH'
  /** Of brokers whose certificates a private authority has signed: its certificate. Not of MSK. */
  readonly rootCertificate?: ISecret
  /** Where the brokers are, if the Internet doesn't reach them. Not of MSK, which says it itself. */
  readonly vpc?: IVpc
  /** Default: the private ones. */
  readonly vpcSubnets?: SubnetSelection
  /** Needed with a VPC. */
  readonly securityGroup?: ISecurityGroup
}

/**
 * What is done to a table's items, by its stream. Each change is JSON: `{ kind: 'insert' | 'modify' | 'remove', keys, new, old, at }`, with the item as it is and was, where the
 * stream has that, else null, and when, epoch ms.
 *
 * @example
 * const table = new TableV2(this, 'Orders', { partitionKey, dynamoStream: StreamViewType.NEW_AND_OLD_IMAGES })
 * new MillracePipeline(this, 'Totals', { entry: 'totals.ts', sources: { orders: { changes: { table } } } })
 */
export interface TableChanges {
  readonly table: ITable
  /** That share the stream's shards, which come and go; they can't change over a running pipeline. Default 1. */
  readonly subtasks?: number
}

/**
 * Objects as they are written: NDJSON, one value a line, plain or packed by gzip or zstd, whatever they are called. The bucket is made to tell EventBridge of them.
 *
 * @example
 * sources: { orders: { objects: { bucket, prefix: 'orders/', suffix: '.ndjson.gz' } } }
 */
export interface ObjectsInBucket {
  readonly bucket: IBucket
  /** Only objects whose keys begin with this. */
  readonly prefix?: string
  /** Only objects whose keys end with this. */
  readonly suffix?: string
  /** That share the objects, by a hash, and read side by side; they can't change over a running pipeline. Default 1. */
  readonly subtasks?: number
}

export type Sources = Readonly<Record<string, SourceProps>>

export function isKafka(source: SourceProps): source is { readonly kafka: KafkaTopic } {
  return 'kafka' in source
}

export function isChanges(source: SourceProps): source is { readonly changes: TableChanges } {
  return 'changes' in source
}

export function isObjects(source: SourceProps): source is { readonly objects: ObjectsInBucket } {
  return 'objects' in source
}

export function subtasksOf({ subtasks = 1 }: ObjectsInBucket | TableChanges): number {
  return subtasks
}

export function streamOf(source: SourceProps): IStream | undefined {
  return isKafka(source) || isChanges(source) || isObjects(source) ? undefined : source
}

export function streamsOf(sources: Sources): IStream[] {
  return Object.values(sources).flatMap(source => streamOf(source) ?? [])
}

/** What the functions are told of a source. */
export function sourceSetting(source: SourceProps): SourceSetting {
  if (isChanges(source)) return { kind: 'dynamodb', subtasks: subtasksOf(source.changes) }
  if (isObjects(source)) return { kind: 's3', subtasks: subtasksOf(source.objects) }
  if (!isKafka(source)) return { kind: 'kinesis', stream: source.streamName }
  const { topic, partitions } = source.kafka
  return { kind: 'kafka', topic, partitions }
}

/** @throws InfraError */
export function checkSource(name: string, source: SourceProps): void {
  if (isKafka(source)) checkTopic(`sources.${name}.kafka`, source.kafka)
  if (isObjects(source)) checkNumber(`sources.${name}.objects.subtasks`, source.objects.subtasks, 1, Number.MAX_SAFE_INTEGER)
  if (!isChanges(source)) return
  checkNumber(`sources.${name}.changes.subtasks`, source.changes.subtasks, 1, Number.MAX_SAFE_INTEGER)
  if (!hasStream(source.changes.table))
    throw new InfraError(
      `sources.${name}.changes.table has no stream: give it one, as in \`dynamoStream: StreamViewType.NEW_AND_OLD_IMAGES\`; of an imported table name tableStreamArn`,
    )
}

/** A `TableV2` has the ARN of a stream also where it has none. */
function hasStream(table: ITable): boolean {
  const made = table.node.defaultChild
  if (made instanceof CfnGlobalTable) return Stack.of(table).resolve(made.streamSpecification) !== undefined
  return table.tableStreamArn !== undefined
}

function checkTopic(at: string, given: KafkaTopic): void {
  const { topic, partitions, clusterArn, bootstrapServers, secret, authentication, rootCertificate, vpc, ...rest } = given
  if (!topic) throw new InfraError(`${at}.topic is missing`)
  if (partitions === undefined) throw new InfraError(`${at}.partitions is missing: say how many the topic has`)
  checkNumber(`${at}.partitions`, partitions, 1, Number.MAX_SAFE_INTEGER)
  if ((clusterArn === undefined) === (bootstrapServers === undefined))
    throw new InfraError(`${at}: name either clusterArn, of MSK, or bootstrapServers, of another Kafka`)
  if (bootstrapServers?.length === 0) throw new InfraError(`${at}.bootstrapServers is empty`)
  if (authentication !== undefined && secret === undefined)
    throw new InfraError(`${at}.authentication is of a secret: name it in secret`)
  if (clusterArn !== undefined && (rootCertificate ?? vpc ?? rest.vpcSubnets ?? rest.securityGroup) !== undefined)
    throw new InfraError(
      `${at}: rootCertificate, vpc, vpcSubnets and securityGroup are not of MSK, which says them itself: leave them out`,
    )
  if ((vpc === undefined) !== (rest.securityGroup === undefined) || (rest.vpcSubnets !== undefined && vpc === undefined))
    throw new InfraError(`${at}: a vpc needs a securityGroup, and vpcSubnets and securityGroup a vpc`)
}
