import { type Duration, RemovalPolicy } from 'aws-cdk-lib'
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { CfnEventSourceMapping, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'

import type { Construct } from 'constructs'
import { stageStreamName } from '../runtime/aws/names.ts'
import type { PhysicalStage } from '../runtime/graph/plan.ts'
import type { Storage } from './storage.ts'

/**
 * The stream in front of a stage: a shard for each subtask. Provisioned, since an on-demand stream splits its shards by itself, and a subtask's frames
 * have to stay in its shard. It goes with the stack: what is on its way in it is in the checkpoints too, and comes again from the sources.
 */
export function makeStageStream(scope: Construct, prefix: string, stage: PhysicalStage, key: IKey | undefined): Stream {
  return new Stream(scope, `Stream-${stage.id}`, {
    streamName: stageStreamName(prefix, stage.id),
    streamMode: StreamMode.PROVISIONED,
    shardCount: stage.parallelism,
    encryption: key === undefined ? StreamEncryption.MANAGED : StreamEncryption.KMS,
    encryptionKey: key,
    removalPolicy: RemovalPolicy.DESTROY,
  })
}

export interface Batching {
  readonly size: number
  readonly window: Duration | undefined
}

/** Batches of one shard, one at a time and in order, tried until they are through: nothing is skipped or given up (protocol.md, C6). */
export function mapEvents(
  scope: Construct,
  id: string,
  target: LambdaFunction,
  streamArn: string,
  batching: Batching,
  { deadLetters }: Storage,
): CfnEventSourceMapping {
  deadLetters.grantSendMessages(target)
  const mapping = new CfnEventSourceMapping(scope, id, {
    functionName: target.functionName,
    eventSourceArn: streamArn,
    startingPosition: 'TRIM_HORIZON',
    batchSize: batching.size,
    maximumBatchingWindowInSeconds: batching.window?.toSeconds(),
    parallelizationFactor: 1,
    functionResponseTypes: ['ReportBatchItemFailures'],
    maximumRetryAttempts: -1,
    maximumRecordAgeInSeconds: -1,
    bisectBatchOnFunctionError: false,
    // For what can't be handed over at all: a record that is larger than an invocation takes.
    destinationConfig: { onFailure: { destination: deadLetters.queueArn } },
  })
  // The mapping is refused while the role may not poll yet.
  mapping.node.addDependency(target.role!)
  return mapping
}
