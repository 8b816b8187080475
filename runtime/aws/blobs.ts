import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { PortArgumentError } from '../embedded/errors.ts'
import type { Random, RangedBlobs } from '../ports.ts'
import type { Call } from './call.ts'
import { isNamed } from './classify.ts'

const KEY_BYTES_MAX = 1024
/** S3 gives no more at a time. */
const PAGE_KEYS = 1000
/** Metadata of an object that was put only if absent: by whom. */
const WRITER = 'writer'

/** Objects of one bucket whose keys begin with `prefix`. */
export function s3Blobs(client: S3Client, bucket: string, prefix: string, call: Call, random: Random): RangedBlobs {
  const resource = `bucket ${bucket}`

  function at(key: string): { Bucket: string; Key: string } {
    const Key = prefix + key
    if (!Key.isWellFormed()) throw new PortArgumentError(`key of an object is not well-formed Unicode: ${JSON.stringify(Key)}`)
    if (Buffer.byteLength(Key) > KEY_BYTES_MAX)
      throw new PortArgumentError(
        `key of an object is longer than the ${KEY_BYTES_MAX} bytes that S3 takes: ${JSON.stringify(Key.slice(0, 100))}…`,
      )
    return { Bucket: bucket, Key }
  }

  async function writerOf(key: string): Promise<string | undefined> {
    return call({ operation: 's3.HeadObject', resource, expected: isMissing }, async ({ signal }) => {
      const { Metadata } = await client.send(new HeadObjectCommand(at(key)), { abortSignal: signal })
      return Metadata?.[WRITER]
    })
  }

  return {
    async put(key, data) {
      await call({ operation: 's3.PutObject', resource }, ({ signal, meter }) => {
        meter.bytes += data.byteLength
        return client.send(new PutObjectCommand({ ...at(key), Body: data }), { abortSignal: signal })
      })
    },
    async putIfAbsent(key, data) {
      const writer = random.id()
      let doubtful = false
      try {
        await call({ operation: 's3.PutObject', resource, expected: isTaken }, ({ signal, meter, doubt }) => {
          doubtful = doubt
          meter.bytes += data.byteLength
          const command = new PutObjectCommand({ ...at(key), Body: data, IfNoneMatch: '*', Metadata: { [WRITER]: writer } })
          return client.send(command, { abortSignal: signal })
        })
        return true
      } catch (error) {
        if (!isTaken(error)) throw error
        // When an answer was lost and the put repeated, the key is taken by this very call.
        return doubtful && (await writerOf(key)) === writer
      }
    },
    async get(key) {
      try {
        return await call({ operation: 's3.GetObject', resource, expected: isMissing }, async ({ signal, meter }) => {
          const { Body } = await client.send(new GetObjectCommand(at(key)), { abortSignal: signal })
          const data = await Body!.transformToByteArray()
          meter.bytes += data.byteLength
          return data
        })
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    async getRange(key, from, to) {
      try {
        return await call({ operation: 's3.GetObject', resource, expected: isMissingOrBeyond }, async ({ signal, meter }) => {
          const command = new GetObjectCommand({ ...at(key), Range: `bytes=${from}-${to - 1}` })
          const { Body } = await client.send(command, { abortSignal: signal })
          const data = await Body!.transformToByteArray()
          meter.bytes += data.byteLength
          return data
        })
      } catch (error) {
        if (isMissing(error)) return undefined
        // The object is there, and ends before `from`.
        if (isBeyond(error)) return new Uint8Array()
        throw error
      }
    },
    async list(wanted, limit = Number.POSITIVE_INFINITY) {
      const { Key: Prefix } = at(wanted)
      const keys: string[] = []
      for (let ContinuationToken: string | undefined; ; ) {
        // As URLs, because XML can't hold every character.
        const MaxKeys = Math.min(PAGE_KEYS, limit - keys.length)
        const command = new ListObjectsV2Command({ Bucket: bucket, Prefix, ContinuationToken, MaxKeys, EncodingType: 'url' })
        const page = await call({ operation: 's3.ListObjectsV2', resource }, ({ signal }) =>
          client.send(command, { abortSignal: signal }),
        )
        for (const { Key } of page.Contents ?? []) keys.push(decodeURIComponent(Key!.replaceAll('+', ' ')).slice(prefix.length))
        ContinuationToken = page.NextContinuationToken
        if (ContinuationToken === undefined || keys.length >= limit) return keys
      }
    },
    async delete(key) {
      await call({ operation: 's3.DeleteObject', resource }, ({ signal }) =>
        client.send(new DeleteObjectCommand(at(key)), { abortSignal: signal }),
      )
    },
  }
}

function isTaken(error: unknown): boolean {
  return isNamed(error, 'PreconditionFailed')
}

function isMissing(error: unknown): boolean {
  return isNamed(error, 'NoSuchKey', 'NotFound')
}

function isBeyond(error: unknown): boolean {
  return isNamed(error, 'InvalidRange')
}

function isMissingOrBeyond(error: unknown): boolean {
  return isMissing(error) || isBeyond(error)
}
