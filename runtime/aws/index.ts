export type { ClientOptions } from './client-config.ts'
export { type DynamoDbSinkOptions, dynamoDbSink } from './dynamodb-sink.ts'
export {
  AccessRefusedError,
  AwsError,
  PositionExpiredError,
  RequestRefusedError,
  ResourceMissingError,
  ServiceUnavailableError,
  ShardMismatchError,
  ThrottledError,
  TooLargeError,
  ValueLostError,
} from './errors.ts'
export { type EventBridgeSinkOptions, eventBridgeSink } from './event-bridge-sink.ts'
export { type KinesisSinkOptions, kinesisSink } from './kinesis-sink.ts'
export { stageStreamName, stageStreams } from './names.ts'
export { type AwsOptions, type AwsPorts, awsPorts } from './ports.ts'
export { type S3SinkOptions, s3Sink } from './s3-sink.ts'
export { type SqsSinkOptions, sqsSink } from './sqs-sink.ts'
