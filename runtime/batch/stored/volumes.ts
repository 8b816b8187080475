import { open } from 'node:fs/promises'
import { atOnce } from '../../connectors/at-once.ts'
import type { Blobs, RangedBlobs } from '../../ports.ts'
import { SpillError } from '../error.ts'

/** Of a file that is kept as blobs: of each but the last one. */
const VOLUME_BYTES = 16 << 20
const AT_ONCE = 4

/** A file that is kept as blobs. Plain data. */
export interface StoredFile {
  /** Of its blobs: `/` and a number follow. */
  readonly key: string
  readonly bytes: number
}

/** Takes bytes in order, and keeps them as blobs of one size. */
export class VolumeWriter {
  private readonly blobs: Pick<Blobs, 'put'>
  private readonly key: string
  private readonly putting = new Set<Promise<void>>()
  private parts: Uint8Array[] = []
  private size = 0
  private volumes = 0
  private failure: { readonly error: unknown } | undefined

  constructor(blobs: Pick<Blobs, 'put'>, key: string) {
    this.blobs = blobs
    this.key = key
  }

  /** How many bytes were taken: where the next one will lie. */
  get offset(): number {
    return this.volumes * VOLUME_BYTES + this.size
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      const part = bytes.subarray(from, from + VOLUME_BYTES - this.size)
      this.parts.push(part)
      this.size += part.length
      from += part.length
      if (this.size === VOLUME_BYTES) await this.put()
    }
  }

  async finish(): Promise<StoredFile> {
    const bytes = this.offset
    if (this.size > 0) await this.put()
    await Promise.all(this.putting)
    if (this.failure !== undefined) throw this.failure.error
    return { key: this.key, bytes }
  }

  private async put(): Promise<void> {
    const volume = Buffer.concat(this.parts)
    this.parts = []
    this.size = 0
    const one: Promise<void> = this.blobs
      .put(volumeOf(this.key, this.volumes++), volume)
      .catch(error => {
        this.failure ??= { error }
      })
      .finally(() => this.putting.delete(one))
    this.putting.add(one)
    if (this.putting.size >= AT_ONCE) await Promise.race(this.putting)
    if (this.failure !== undefined) throw this.failure.error
  }
}

/** Keeps a file of this machine as blobs. */
export async function storeFile(blobs: Pick<Blobs, 'put'>, key: string, path: string): Promise<StoredFile> {
  const writer = new VolumeWriter(blobs, key)
  const file = await open(path)
  try {
    for (let position = 0; ; ) {
      const bytes = Buffer.allocUnsafeSlow(VOLUME_BYTES)
      const { bytesRead } = await file.read(bytes, 0, VOLUME_BYTES, position)
      if (bytesRead === 0) return await writer.finish()
      position += bytesRead
      await writer.append(bytes.subarray(0, bytesRead))
    }
  } finally {
    await file.close()
  }
}

/** Makes a file of this machine of what was kept. @throws SpillError when a part of it is gone */
export async function fetchFile(blobs: Pick<Blobs, 'get'>, { key, bytes }: StoredFile, path: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    const volumes = Array.from({ length: Math.ceil(bytes / VOLUME_BYTES) }, (_, i) => i)
    await atOnce(AT_ONCE, volumes, async i => {
      const volume = await blobs.get(volumeOf(key, i))
      if (volume?.length !== Math.min(VOLUME_BYTES, bytes - i * VOLUME_BYTES)) gone(key)
      await file.write(volume!, 0, volume!.length, i * VOLUME_BYTES)
    })
  } finally {
    await file.close()
  }
}

/** @throws SpillError when a part of it is gone */
export async function readStored(
  blobs: Pick<RangedBlobs, 'getRange'>,
  key: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for (let at = offset; at < offset + length; ) {
    const volume = Math.floor(at / VOLUME_BYTES)
    const start = volume * VOLUME_BYTES
    const end = Math.min(offset + length, start + VOLUME_BYTES)
    const part = await blobs.getRange(volumeOf(key, volume), at - start, end - start)
    if (part?.length !== end - at) gone(key)
    parts.push(part!)
    at = end
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

function volumeOf(key: string, volume: number): string {
  return `${key}/${volume}`
}

function gone(key: string): never {
  throw new SpillError(
    `${key}, which an earlier task of this backfill has written, is gone or damaged: start it again under another name`,
  )
}
