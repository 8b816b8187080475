import { App, CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { MillracePipeline } from '../../../infra/index.ts'

/** A pipeline that has an archive. It is stopped: a backfill runs beside the stream, and what begins behind one is started by hand. */
const app = new App()
const stack = new Stack(app, 'Past')
const removalPolicy = RemovalPolicy.DESTROY
const visits = new Stream(stack, 'Visits', { streamMode: StreamMode.PROVISIONED, shardCount: 2, removalPolicy })
const archive = new Bucket(stack, 'Archive', { removalPolicy, autoDeleteObjects: true })
const bucket = new Bucket(stack, 'Results', { removalPolicy, autoDeleteObjects: true })
new MillracePipeline(stack, 'Shop', {
  entry: 'test/localstack/stacks/visits-new.ts',
  sources: { visits },
  sinks: { pages: { bucket, prefix: 'out/' }, rejected: { bucket, prefix: 'out/' } },
  backfill: { archives: [{ bucket: archive, prefix: 'in/' }] },
  parallelism: 2,
  stopped: true,
  timeout: Duration.seconds(20),
  checkpointInterval: Duration.hours(24),
  removalPolicy,
})
new CfnOutput(stack, 'SourceStream', { value: visits.streamName })
new CfnOutput(stack, 'ArchiveBucket', { value: archive.bucketName })
new CfnOutput(stack, 'ResultsBucket', { value: bucket.bucketName })
