import { App, CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { MillracePipeline } from '../../../infra/index.ts'

/** A small pipeline of three stages, two subtasks each unless VISITS_PARALLELISM says less behind the source, that takes checkpoints each few seconds. */
const app = new App()
const stack = new Stack(app, 'Visits')
const visits = new Stream(stack, 'Visits', {
  streamMode: StreamMode.PROVISIONED,
  shardCount: 2,
  removalPolicy: RemovalPolicy.DESTROY,
})
const bucket = new Bucket(stack, 'Results', { removalPolicy: RemovalPolicy.DESTROY, autoDeleteObjects: true })
new MillracePipeline(stack, 'Pipeline', {
  // Another file of the same pipeline: what a deployment of new code changes.
  entry: process.env.VISITS_ENTRY ?? 'test/localstack/stacks/visits.ts',
  sources: { visits },
  sinks: { pages: { bucket, prefix: 'out/' }, rejected: { bucket, prefix: 'out/' } },
  parallelism: Number(process.env.VISITS_PARALLELISM ?? 2),
  timeout: Duration.seconds(20),
  checkpointInterval: Duration.seconds(3),
  removalPolicy: RemovalPolicy.DESTROY,
})
new CfnOutput(stack, 'SourceStream', { value: visits.streamName })
new CfnOutput(stack, 'ResultsBucket', { value: bucket.bucketName })
