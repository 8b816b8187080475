import { Readable } from 'node:stream'
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { UnreadableObjectError } from '../connectors/unreadable-object.ts'
import type { Call } from './call.ts'
import { isNamed } from './classify.ts'

export { UnreadableObjectError } from '../connectors/unreadable-object.ts'

/** One object of the user's, as it was when it was written: of a key, or its version, with these bytes. */
export interface ObjectRef {
  readonly bucket: string
  readonly key: string
  /** Of buckets with versions. */
  readonly version: string | undefined
  /** Without quotes. */
  readonly etag: string
  /** Bytes. */
  readonly size: number
}

/** Objects that somebody else writes. */
export interface Objects {
  /**
   * Bytes from <= i < to, where to <= size.
   * @throws UnreadableObjectError
   */
  read(object: ObjectRef, from: number, to: number): Promise<Uint8Array>
}

export function objectName({ bucket, key, version }: ObjectRef): string {
  return `s3://${bucket}/${key}${version === undefined ? '' : `?versionId=${version}`}`
}

/** What S3 answers when it is the object, and not a right or the service, that is missing. */
const GONE: Readonly<Record<string, string>> = {
  NoSuchKey: 'it was deleted before it was read',
  NotFound: 'it was deleted before it was read',
  NoSuchVersion: 'this version was deleted before it was read',
  PreconditionFailed: 'it was overwritten before it was read, in a bucket without versions',
  InvalidRange: 'it has fewer bytes than were announced',
  InvalidObjectState: 'it is archived, and has to be restored before it can be read',
}

export function s3Objects(client: S3Client, call: Call): Objects {
  function get(object: ObjectRef, Key: string, from: number, to: number): Promise<Uint8Array> {
    const { bucket: Bucket, version: VersionId, etag } = object
    // What was overwritten in the middle is not read on as if it were the same.
    const command = new GetObjectCommand({ Bucket, Key, VersionId, IfMatch: `"${etag}"`, Range: `bytes=${from}-${to - 1}` })
    const resource = objectName(object)
    return call({ operation: 's3.GetObject', resource, expected: isGone }, async ({ signal, meter }) => {
      const { Body, ContentRange } = await client.send(command, { abortSignal: signal })
      const fault = sizeFault(object, ContentRange)
      if (fault !== undefined) {
        // A body that nobody reads would keep its connection for ever, and there are only so many.
        if (Body instanceof Readable) Body.destroy()
        throw new UnreadableObjectError(fault)
      }
      const data = await Body!.transformToByteArray()
      meter.bytes += data.byteLength
      return data
    })
  }

  return {
    async read(object, from, to) {
      const decoded = decodedKey(object.key)
      try {
        return await get(object, object.key, from, to)
      } catch (error) {
        if (!isGone(error)) throw error
        const found = decoded === object.key ? undefined : await get(object, decoded, from, to).catch(ignoreGone)
        if (found !== undefined) return found
        throw new UnreadableObjectError(GONE[(error as Error).name]!, { cause: error })
      }
    },
  }
}

/**
 * Where EventBridge hands on keys as URLs have them, as S3's other notifications do and LocalStack does: AWS does not say. The entity tag tells whether it is the object.
 */
function decodedKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch {
    return key
  }
}

/** S3 announces what is there; a message that somebody else wrote may not. */
function sizeFault({ size }: ObjectRef, contentRange: string | undefined): string | undefined {
  const total = Number(contentRange?.split('/')[1])
  return total === size ? undefined : `it was announced with ${size} bytes, and has ${total}`
}

function ignoreGone(error: unknown): undefined {
  if (!isGone(error)) throw error
}

function isGone(error: unknown): boolean {
  return isNamed(error, ...Object.keys(GONE))
}
