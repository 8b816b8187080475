import { RemovalPolicy } from 'aws-cdk-lib'
import { CfnStreamConsumer, Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { CfnEventSourceMapping, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import { stageStreamName } from '../runtime/aws/names.ts'
import type { PhysicalStage } from '../runtime/graph/plan.ts'
import { acknowledge } from './acknowledge.ts'
import { failureArn, grantFailures } from './failures.ts'
import type { StageOptions } from './stage-options.ts'
import type { Storage } from './storage.ts'

/**
 * The stream in front of a stage: a shard for each subtask. Provisioned, since an on-demand stream splits its shards by itself, and a subtask's frames
 * have to stay in its shard. It goes with the stack: what is on its way in it is in the checkpoints too, and comes again from the sources.
 */
export function makeStageStream(scope: Construct, prefix: string, stage: PhysicalStage, key: IKey | undefined): Stream {
  const stream = new Stream(scope, `Stream-${stage.id}`, {
    streamName: stageStreamName(prefix, stage.id),
    streamMode: StreamMode.PROVISIONED,
    shardCount: stage.parallelism,
    encryption: key === undefined ? StreamEncryption.MANAGED : StreamEncryption.KMS,
    encryptionKey: key,
    removalPolicy: RemovalPolicy.DESTROY,
  })
  if (key !== undefined) acknowledge(stream, { 'AwsSolutions-KDS3': 'An own key was asked for.' })
  return stream
}

/** A reader of its own on a stage's stream. */
export function makeConsumer(scope: Construct, prefix: string, stage: PhysicalStage, streamArn: string): string {
  return new CfnStreamConsumer(scope, `Consumer-${stage.id}`, { consumerName: stageStreamName(prefix, stage.id), streamArn })
    .attrConsumerArn
}

/** Batches of one shard, one at a time and in order, tried until they are through: nothing is skipped or given up (protocol.md, C6). */
export function mapEvents(
  scope: Construct,
  stage: PhysicalStage,
  target: LambdaFunction,
  sourceArn: string,
  { batchSize, batchWindow }: Pick<StageOptions, 'batchSize' | 'batchWindow'>,
  { deadLetters }: Storage,
): CfnEventSourceMapping {
  grantFailures(target, deadLetters)
  const mapping = new CfnEventSourceMapping(scope, `Mapping-${stage.id}`, {
    functionName: target.functionName,
    eventSourceArn: sourceArn,
    startingPosition: 'TRIM_HORIZON',
    batchSize,
    maximumBatchingWindowInSeconds: batchWindow?.toSeconds(),
    parallelizationFactor: 1,
    functionResponseTypes: ['ReportBatchItemFailures'],
    maximumRetryAttempts: -1,
    maximumRecordAgeInSeconds: -1,
    bisectBatchOnFunctionError: false,
    // For what can't be handed over at all: a record that is larger than an invocation takes.
    destinationConfig: { onFailure: { destination: failureArn(deadLetters) } },
  })
  // The mapping is refused while the role may not poll yet.
  mapping.node.addDependency(target.role!)
  return mapping
}
