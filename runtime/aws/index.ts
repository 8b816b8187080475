export type { ClientOptions } from './clients.ts'
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
export { stageStreamName, stageStreams } from './names.ts'
export { type AwsOptions, type AwsPorts, awsPorts } from './ports.ts'
