import { blobSink } from '../connectors/blob-sink.ts'
import type { Sink } from '../connectors/sink.ts'
import { s3Blobs } from './blobs.ts'
import type { ClientOptions } from './client-config.ts'
import { openS3 } from './clients.ts'
import { lazyCalls } from './sink-calls.ts'

export interface S3SinkOptions extends ClientOptions {
  readonly bucket: string
  /** What keys begin with: '' or 'shop/'. */
  readonly prefix?: string
  /** Of the folder below it: one for each sink. */
  readonly name: string
}

/**
 * Writes NDJSON objects to a bucket, exactly once: they become visible with the checkpoint that they belong to, as
 * `<prefix><name>/run=<run>/checkpoint-<n>-subtask-<i>.ndjson`. What is not visible yet lies under `<prefix>_staging/`.
 *
 * @example
 * rankings.sink('rankings', s3Sink({ bucket: 'shop-results', name: 'rankings' }))
 */
export function s3Sink(options: S3SinkOptions): Sink<any> {
  const { bucket, prefix = '', name } = options
  const calls = lazyCalls(() => openS3(options))
  let sink: Sink<any> | undefined
  const place = `s3://${bucket}/${prefix}${name}`
  const open = () => {
    if (sink !== undefined) return sink
    const { client, call, random } = calls()
    sink = blobSink(s3Blobs(client, bucket, prefix, call, random), name, place)
    return sink
  }
  return {
    kind: 's3',
    open: (context, state) => open().open(context, state),
    commit: (...cut) => open().commit!(...cut),
    restore: (...cut) => open().restore!(...cut),
    describe: () => place,
  }
}
