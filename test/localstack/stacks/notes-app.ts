import { App, CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { MillracePipeline } from '../../../infra/index.ts'

/** A pipeline with large state, which it keeps in segments. */
const app = new App()
const stack = new Stack(app, 'Notes')
const notes = new Stream(stack, 'Notes', {
  streamMode: StreamMode.PROVISIONED,
  shardCount: 1,
  removalPolicy: RemovalPolicy.DESTROY,
})
const bucket = new Bucket(stack, 'Results', { removalPolicy: RemovalPolicy.DESTROY, autoDeleteObjects: true })
new MillracePipeline(stack, 'Pipeline', {
  entry: 'test/localstack/stacks/notes.ts',
  sources: { notes },
  sinks: { seen: { bucket, prefix: 'out/' } },
  stateBackend: 'segments',
  timeout: Duration.seconds(60),
  checkpointInterval: Duration.hours(1),
  removalPolicy: RemovalPolicy.DESTROY,
})
new CfnOutput(stack, 'SourceStream', { value: notes.streamName })
new CfnOutput(stack, 'ResultsBucket', { value: bucket.bucketName })
