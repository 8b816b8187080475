import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { CHUNK_BYTES, type FileRef, type InputFile, type InputFiles, isHidden } from '../batch/input-files.ts'
import { ConnectorError } from '../connectors/error.ts'
import type { Call } from './call.ts'
import { type Objects, s3Objects } from './objects.ts'

/** What one request asks for where an object is read from start to end; the next is under way meanwhile. */
const WINDOW_BYTES = 8 << 20
const PLACE = /^s3:\/\/([^/]+)\/?(.*)$/s

/** The files of a bounded run that are objects of S3: `s3://bucket/key` is that object, or all that is below `key/`. They are read as they were listed: what was overwritten since is an error. */
export function s3Files(client: S3Client, call: Call): InputFiles {
  const objects = s3Objects(client, call)
  return {
    list: place => listObjects(client, call, place),
    open: async ref => openObject(objects, ref),
  }
}

async function listObjects(client: S3Client, call: Call, place: string): Promise<FileRef[]> {
  const [bucket, key] = placeOf(place)
  const below = key === '' || key.endsWith('/') ? key : `${key}/`
  const found: FileRef[] = []
  for (let ContinuationToken: string | undefined; ; ) {
    // As URLs, because XML can't hold every character.
    const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: key, ContinuationToken, EncodingType: 'url' })
    const page = await call({ operation: 's3.ListObjectsV2', resource: `bucket ${bucket}` }, ({ signal }) =>
      client.send(command, { abortSignal: signal }),
    )
    for (const { Key, Size, ETag } of page.Contents ?? []) {
      const name = decodeURIComponent(Key!.replaceAll('+', ' '))
      // `archive` is a folder, and not what else begins so; a folder may be an object itself, made by the console.
      if (name.endsWith('/') || (name !== key && (!name.startsWith(below) || isHidden(name.slice(below.length))))) continue
      found.push({ path: `s3://${bucket}/${name}`, object: { etag: ETag!.replaceAll('"', ''), size: Size! } })
    }
    ContinuationToken = page.NextContinuationToken
    if (ContinuationToken !== undefined) continue
    if (found.length === 0) throw new ConnectorError(`${place} can't be read: there is no such object, and none below it`)
    return found
  }
}

function openObject(objects: Objects, { path, object }: FileRef): InputFile {
  const [bucket, key] = placeOf(path)
  const { etag, size } = object!
  const ref = { bucket, key, version: undefined, etag, size }
  const read = async (from: number, to: number) => {
    const end = Math.min(to, size)
    return from >= end ? new Uint8Array() : objects.read(ref, from, end)
  }
  return { size, read, chunks: (from, to) => chunks(read, from, Math.min(to, size)), close: async () => {} }
}

async function* chunks(read: InputFile['read'], from: number, to: number): AsyncGenerator<Uint8Array> {
  const windowAt = (at: number) => {
    const window = at < to ? read(at, Math.min(at + WINDOW_BYTES, to)) : undefined
    window?.catch(() => {}) // told when it is awaited, if it ever is
    return window
  }
  let ahead = windowAt(from)
  for (let at = from; at < to; at += WINDOW_BYTES) {
    const bytes = await ahead!
    ahead = windowAt(at + WINDOW_BYTES)
    for (let i = 0; i < bytes.length; i += CHUNK_BYTES) yield bytes.subarray(i, i + CHUNK_BYTES)
  }
}

function placeOf(place: string): [bucket: string, key: string] {
  const [, bucket, key] = PLACE.exec(place) ?? []
  if (bucket === undefined) throw new ConnectorError(`${place}: a bucket is needed, as in s3://BUCKET/KEY`)
  return [bucket, key!]
}
