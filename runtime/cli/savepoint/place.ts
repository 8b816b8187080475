import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { SavepointPlace } from '../../embedded/run-options.ts'
import type { Side } from '../../savepoint/diff.ts'
import { METADATA } from '../../savepoint/names.ts'
import { UsageError } from '../error.ts'
import { openBuckets } from '../stack/s3.ts'
import { isStateDirectory } from '../state-directory.ts'

const S3 = /^s3:\/\/([^/]+)\/*(.*?)\/*$/

/** A path that can only be meant as that of a savepoint, or has one. */
export function isSavepoint(path: string): boolean {
  return path.startsWith('s3://') || existsSync(join(path, METADATA))
}

/** Where a savepoint lies, or is to lie: a directory, or `s3://BUCKET/KEY`. @throws UsageError for any other URL */
export async function savepointPlace(path: string): Promise<SavepointPlace> {
  if (path.startsWith('s3://')) {
    const [bucket, key] = bucketOf(path)
    return { name: path, open: () => openBucket(bucket, `${key}/`) }
  }
  if (/^\w+:\/\//.test(path)) throw new UsageError(`${path}: a savepoint lies in a directory, or in S3 as s3://BUCKET/KEY`)
  if (statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new UsageError(`${path} is a file, and a directory is needed there`)
  const { directoryBlobs } = await import('../../savepoint/directory.ts')
  return { name: path, open: async () => ({ blobs: directoryBlobs(resolve(path)), close: async () => {} }) }
}

/** Where a savepoint should lie already. @throws UsageError for the directory of a run */
export async function existingSavepoint(path: string): Promise<SavepointPlace> {
  if (!isSavepoint(path) && isStateDirectory(path))
    throw new UsageError(`${path} is a state directory, not a savepoint: millrace savepoint create ${path} --to PATH takes one`)
  return savepointPlace(path)
}

/** Paths of the savepoints that lie right below a path. */
export async function savepointsBelow(path: string): Promise<string[]> {
  if (!path.startsWith('s3://')) {
    if (!existsSync(path)) throw new UsageError(`there is no directory ${path}`)
    return readdirSync(path)
      .map(name => join(path, name))
      .filter(at => existsSync(join(at, METADATA)))
      .sort()
  }
  const [bucket, key] = bucketOf(path, false)
  const { blobs, close } = await openBucket(bucket, key === '' ? '' : `${key}/`)
  try {
    const names = (await blobs.list('')).flatMap(name => /^([^/]+)\/_metadata$/.exec(name)?.[1] ?? [])
    return names.map(name => `s3://${bucket}/${key === '' ? '' : `${key}/`}${name}`)
  } finally {
    await close()
  }
}

/** Opens the savepoint at a path, its files checked as they are read. @throws SnapshotError when there is none, or it is damaged */
export async function withSavepoint<T>(path: string, work: (savepoint: Side) => Promise<T>): Promise<T> {
  const { checkedFiles, readSavepoint } = await import('../../savepoint/format.ts')
  const { blobs, close } = await (await existingSavepoint(path)).open()
  try {
    const manifest = await readSavepoint(blobs, path)
    return await work({ blobs: checkedFiles(blobs, manifest, path), manifest })
  } finally {
    await close()
  }
}

function bucketOf(path: string, withKey = true): [bucket: string, key: string] {
  const [, bucket, key] = S3.exec(path) ?? []
  if (bucket === undefined || (withKey && key === ''))
    throw new UsageError(`${path}: a bucket and a key are needed: s3://BUCKET/KEY`)
  return [bucket, key!]
}

async function openBucket(bucket: string, prefix: string): ReturnType<SavepointPlace['open']> {
  const [{ client, call, random }, { s3Blobs }] = await Promise.all([openBuckets(), import('../../aws/blobs.ts')])
  return { blobs: s3Blobs(client, bucket, prefix, call, random), close: async () => client.destroy() }
}
