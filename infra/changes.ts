import type { CfnEventSourceMapping, Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import type { PhysicalStage } from '../runtime/graph/plan.ts'
import { acknowledgeWildcard } from './acknowledge.ts'
import { allow } from './grants.ts'
import type { TableChanges } from './sources.ts'
import type { StageOptions } from './stage-options.ts'
import type { Storage } from './storage.ts'
import { mapEvents } from './streams.ts'

/** The longest: each window ends with a call for nothing. */
const WINDOW_SECONDS = 900

/**
 * Batches of the shards of a table's stream. In a tumbling window, though nothing is made of that: only its events say which shard they are of, and a change is known
 * again by its number in its shard (docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html).
 */
export function mapChanges(
  scope: Construct,
  stage: PhysicalStage,
  target: LambdaFunction,
  { table }: TableChanges,
  reading: Pick<StageOptions, 'batchSize' | 'batchWindow'>,
  storage: Storage,
): CfnEventSourceMapping {
  const streamArn = table.tableStreamArn!
  const actions = ['DescribeStream', 'GetRecords', 'GetShardIterator'].map(action => `dynamodb:${action}`)
  allow(target, actions, [streamArn])
  const streams = `${table.tableArn}/stream/*`
  allow(target, ['dynamodb:ListStreams'], [streams])
  acknowledgeWildcard(target.role!, streams, 'Streams of this table: Lambda looks for the one that it polls.')
  if (table.encryptionKey !== undefined) allow(target, ['kms:Decrypt'], [table.encryptionKey.keyArn])
  const mapping = mapEvents(scope, stage, target, streamArn, reading, storage)
  mapping.tumblingWindowInSeconds = WINDOW_SECONDS
  return mapping
}
