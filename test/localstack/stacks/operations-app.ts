import { App, CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { MillracePipeline } from '../../../infra/index.ts'

/** A small pipeline for those who operate it: checkpoints come when they are asked for. */
const app = new App()
const stack = new Stack(app, 'Operations')
const visits = new Stream(stack, 'Visits', {
  streamMode: StreamMode.PROVISIONED,
  shardCount: 1,
  removalPolicy: RemovalPolicy.DESTROY,
})
const bucket = new Bucket(stack, 'Results', { removalPolicy: RemovalPolicy.DESTROY, autoDeleteObjects: true })
new MillracePipeline(stack, 'Shop', {
  entry: 'test/localstack/stacks/visits.ts',
  sources: { visits },
  sinks: { pages: { bucket, prefix: 'out/' }, rejected: { bucket, prefix: 'out/' } },
  timeout: Duration.seconds(20),
  checkpointInterval: Duration.hours(24),
  removalPolicy: RemovalPolicy.DESTROY,
})
new CfnOutput(stack, 'SourceStream', { value: visits.streamName })
