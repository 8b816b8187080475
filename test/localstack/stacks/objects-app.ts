import { App, CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3'
import { MillracePipeline } from '../../../infra/index.ts'

/** A pipeline that reads what is put into a bucket. */
const app = new App()
const stack = new Stack(app, 'Objects')
// In the template: CDK's own way is a function in Python, which this LocalStack does not run.
const made = new CfnBucket(stack, 'In', { notificationConfiguration: { eventBridgeConfiguration: { eventBridgeEnabled: true } } })
made.applyRemovalPolicy(RemovalPolicy.DESTROY)
const bucket = new Bucket(stack, 'Results', { removalPolicy: RemovalPolicy.DESTROY, autoDeleteObjects: true })
new MillracePipeline(stack, 'Pipeline', {
  entry: 'test/localstack/stacks/visits-new.ts',
  sources: { visits: { objects: { bucket: Bucket.fromCfnBucket(made), prefix: 'in/', suffix: '.ndjson' } } },
  sinks: { pages: { bucket, prefix: 'out/' }, rejected: { bucket, prefix: 'out/' } },
  timeout: Duration.seconds(10),
  checkpointInterval: Duration.seconds(3),
  removalPolicy: RemovalPolicy.DESTROY,
})
new CfnOutput(stack, 'SourceBucket', { value: made.ref })
new CfnOutput(stack, 'ResultsBucket', { value: bucket.bucketName })
