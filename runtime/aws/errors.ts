import { MillraceError } from '../errors.ts'
import { ShardClosedError } from '../protocol/errors.ts'

/** Base of what the ports on AWS raise: each names the stream, table or bucket that it is about. */
export class AwsError extends MillraceError {
  /** As people look it up: `stream shop.rank`, `table shop-log`, `bucket shop-state`. */
  readonly resource: string
  constructor(resource: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.resource = resource
  }
}

/** The service asked for less, and went on doing so for all the tries that a call has. The call took no effect. */
export class ThrottledError extends AwsError {
  override readonly name = 'ThrottledError'
  override readonly retryable = true
}

/** The network or the service failed, and went on doing so. The call may have taken effect. */
export class ServiceUnavailableError extends AwsError {
  override readonly name = 'ServiceUnavailableError'
  override readonly retryable = true
}

/** Credentials or permissions are missing. */
export class AccessRefusedError extends AwsError {
  override readonly name = 'AccessRefusedError'
}

/** The stream, shard, table or bucket is not there. */
export class ResourceMissingError extends AwsError {
  override readonly name = 'ResourceMissingError'
}

/** The service calls the request itself wrong: it would be refused again. */
export class RequestRefusedError extends AwsError {
  override readonly name = 'RequestRefusedError'
}

/** More bytes than the service takes in one record or item. */
export class TooLargeError extends AwsError {
  override readonly name = 'TooLargeError'
  readonly bytes: number
  readonly bytesMax: number
  constructor(resource: string, what: string, bytes: number, bytesMax: number, remedy: string) {
    super(resource, `${what} has ${bytes} bytes, and ${resource} takes ${bytesMax} at most: ${remedy}`)
    this.bytes = bytes
    this.bytesMax = bytesMax
  }
}

/** A record landed in another shard than planned, or would have: the stream was split or merged (protocol.md, F1). The attempt is void, and is done again for the shards that are open. */
export class ShardMismatchError extends ShardClosedError {
  override readonly name = 'ShardMismatchError'
  readonly resource: string
  constructor(stream: string, planned: string, problem: string) {
    super(`${stream} does not take records for ${planned} there: ${problem}. The attempt is void, and is done again`)
    this.resource = stream
  }
}

/** The shards of a stage's stream are such that its subtasks can't be these. Nothing was taken. */
export class StageStreamSplitError extends AwsError {
  override readonly name = 'StageStreamSplitError'
  constructor(stage: string, problem: string, remedy: string) {
    super(
      `stream of stage '${stage}'`,
      `the stream in front of stage '${stage}' was split or merged, and ${problem}. Nothing is lost, and nothing goes on: ${remedy}`,
    )
  }
}

/** What follows a position may be gone: it lies behind the stream's retention. */
export class PositionExpiredError extends AwsError {
  override readonly name = 'PositionExpiredError'
  readonly position: string
  constructor(stream: string, shard: string, position: string, problem: string, options?: ErrorOptions) {
    super(
      stream,
      `position ${position} of ${shard} of ${stream} is older than what the stream still has (${problem}), so records after it may be lost: ` +
        'start from a checkpoint or savepoint that is newer, and lengthen the retention',
      options,
    )
    this.position = position
  }
}

/** An item names an object that the bucket does not have: something deleted it, a lifecycle rule perhaps. Restore a savepoint. */
export class ValueLostError extends AwsError {
  override readonly name = 'ValueLostError'
}
