import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { type FileRef, type InputFiles, isHidden } from '../batch/input-files.ts'
import { ConnectorError } from '../connectors/error.ts'
import type { Call } from './call.ts'
import { bucketOf, objectFiles } from './object-files.ts'
import { s3Objects } from './objects.ts'

/** The files of a bounded run that are objects of S3: `s3://bucket/key` is that object, or all that is below `key/`. They are read as they were listed: what was overwritten since is an error. */
export function s3Files(client: S3Client, call: Call): InputFiles {
  return { list: place => listObjects(client, call, place), ...objectFiles(s3Objects(client, call)) }
}

async function listObjects(client: S3Client, call: Call, place: string): Promise<FileRef[]> {
  const [bucket, key] = bucketOf(place)
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
