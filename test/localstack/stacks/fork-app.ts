import { App, CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { type IStream, Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { MillracePipeline } from '../../../infra/index.ts'

/** A pipeline, and another stack of it that is to be its copy: with the same source stream, once there is one. */
const app = new App()

function shop(stack: Stack, visits: IStream, stopped: boolean): void {
  const bucket = new Bucket(stack, 'Results', { removalPolicy: RemovalPolicy.DESTROY, autoDeleteObjects: true })
  new MillracePipeline(stack, 'Shop', {
    entry: 'test/localstack/stacks/visits.ts',
    sources: { visits },
    sinks: { pages: { bucket, prefix: 'out/' }, rejected: { bucket, prefix: 'out/' } },
    stopped,
    timeout: Duration.seconds(20),
    checkpointInterval: Duration.hours(24),
    removalPolicy: RemovalPolicy.DESTROY,
  })
  new CfnOutput(stack, 'ResultsBucket', { value: bucket.bucketName })
}

const original = new Stack(app, 'Original')
const visits = new Stream(original, 'Visits', {
  streamMode: StreamMode.PROVISIONED,
  shardCount: 1,
  removalPolicy: RemovalPolicy.DESTROY,
})
shop(original, visits, false)
new CfnOutput(original, 'SourceStream', { value: visits.streamName })
new CfnOutput(original, 'SourceArn', { value: visits.streamArn })

const arn = process.env.VISITS_ARN
if (arn !== undefined) {
  const trial = new Stack(app, 'Trial')
  shop(trial, Stream.fromStreamArn(trial, 'Visits', arn), true)
}
