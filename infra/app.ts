import { Annotations, App, CfnOutput, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3'
import { AwsSolutionsChecks } from 'cdk-nag'
import { acknowledge } from './acknowledge.ts'
import { MillracePipeline } from './pipeline.ts'

/** What cdk.json deploys: the recommendation pipeline, a stream for its events and a bucket for its results. `--context parallelism=2` makes it larger. */
const app = new App()
Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
const stack = new Stack(app, 'Recommendations', { description: 'Millrace: the recommendation pipeline' })

const events = new Stream(stack, 'Events', {
  streamMode: StreamMode.PROVISIONED,
  shardCount: 1,
  encryption: StreamEncryption.MANAGED,
  removalPolicy: RemovalPolicy.DESTROY,
})
const results = new Bucket(stack, 'Results', {
  encryption: BucketEncryption.S3_MANAGED,
  enforceSSL: true,
  blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
  removalPolicy: RemovalPolicy.RETAIN,
})
acknowledge(results, { 'AwsSolutions-S1': 'An example: who reads its results need not be recorded.' })

// The models are a service of their own: on AWS, MODELS_URL says where. Without it each function would try to start one, and it has no file to start.
const { MODELS_URL, REDIS_URL } = process.env
if (MODELS_URL === undefined)
  Annotations.of(stack).addWarningV2(
    'millrace:models-url',
    'MODELS_URL is not set: deployed like this, the stage that calls the models fails. Set it to where they run (examples/recommendations/models)',
  )
const parallelism = Number(app.node.tryGetContext('parallelism') ?? 1)
new MillracePipeline(stack, 'Pipeline', {
  entry: 'examples/recommendations/pipeline.ts',
  sources: { events },
  sinks: {
    trending: { bucket: results },
    activity: { bucket: results },
    ...(REDIS_URL === undefined && { recommendations: { bucket: results } }),
  },
  parallelism,
  environment: { ...(MODELS_URL !== undefined && { MODELS_URL }), ...(REDIS_URL !== undefined && { REDIS_URL }) },
})
new CfnOutput(stack, 'EventsStream', { value: events.streamName })
new CfnOutput(stack, 'ResultsBucket', { value: results.bucketName })
