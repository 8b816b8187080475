import { MillraceError } from '../../errors.ts'
import type { ObjectRef } from '../objects.ts'

/** What Lambda hands over of a queue: the part of it that is used here. */
export interface QueueEvent {
  readonly Records: readonly QueueMessage[]
}

export interface QueueMessage {
  readonly messageId: string
  readonly body: string
}

/** What EventBridge says of a new object (docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html): the part of it that is used here. */
interface ObjectCreated {
  readonly 'detail-type'?: unknown
  readonly detail?: {
    readonly bucket?: { readonly name?: unknown }
    readonly object?: {
      readonly key?: unknown
      readonly size?: unknown
      readonly etag?: unknown
      /** Of buckets with versions. */
      readonly 'version-id'?: unknown
    }
  }
}

/** The message is nothing that S3 has sent. */
export class NotificationError extends MillraceError {
  override readonly name = 'NotificationError'
}

/** @throws NotificationError */
export function readNotification(body: string): ObjectRef {
  const { 'detail-type': type, detail } = parse(body)
  if (type !== 'Object Created') throw new NotificationError(`it is of ${JSON.stringify(type)}, and not of 'Object Created'`)
  const { key, size, etag, 'version-id': version } = detail?.object ?? {}
  const bucket = detail?.bucket?.name
  if (!isName(bucket) || !isName(key) || !isName(etag) || !Number.isSafeInteger(size))
    throw new NotificationError("it has to name detail.bucket.name and detail.object's key, size and etag")
  return {
    bucket,
    key,
    // Where versions were suspended, all that is written is version 'null'.
    version: isName(version) && version !== 'null' ? version : undefined,
    etag: etag.replace(/^"|"$/g, ''),
    size: size as number,
  }
}

function parse(body: string): ObjectCreated {
  try {
    return Object(JSON.parse(body))
  } catch (error) {
    throw new NotificationError(`it is not JSON: ${(error as Error).message}`, { cause: error })
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
