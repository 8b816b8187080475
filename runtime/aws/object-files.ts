import { CHUNK_BYTES, type InputFile, type InputFiles, isS3 } from '../batch/input-files.ts'
import { ConnectorError } from '../connectors/error.ts'
import type { Objects } from './objects.ts'

/** What one request asks for where an object is read from start to end; the next is under way meanwhile. */
const WINDOW_BYTES = 8 << 20
const PLACE = /^s3:\/\/([^/]+)\/?(.*)$/s

/** Objects of S3 as files of a bounded run: each is read as it was listed, so that one that was overwritten since is an error. */
export function objectFiles(objects: Objects): Pick<InputFiles, 'open'> {
  return {
    async open({ path, object }) {
      if (!isS3(path) || object === undefined) throw new ConnectorError(`${path} can't be read here: it is no object of S3`)
      const [bucket, key] = bucketOf(path)
      const { etag, size } = object
      const read = async (from: number, to: number) => {
        const end = Math.min(to, size)
        return from >= end ? new Uint8Array() : objects.read({ bucket, key, version: undefined, etag, size }, from, end)
      }
      return { size, read, chunks: (from, to) => chunks(read, from, Math.min(to, size)), close: async () => {} }
    },
  }
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

/** Of `s3://bucket/key`. */
export function bucketOf(place: string): [bucket: string, key: string] {
  const [, bucket, key] = PLACE.exec(place) ?? []
  if (bucket === undefined) throw new ConnectorError(`${place}: a bucket is needed, as in s3://BUCKET/KEY`)
  return [bucket, key!]
}
