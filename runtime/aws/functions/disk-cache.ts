import { mkdtempSync, rmSync } from 'node:fs'
import { type FileHandle, open, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CacheDisk } from '../../snapshot/segment-cache.ts'

/** Of what is free on the function's disk when it is first used: user code may need the rest. */
const FREE_SHARE = 1 / 2

interface Place {
  readonly name: string
  readonly at: number
  readonly length: number
}

export interface DiskCacheOptions {
  /** Default: the function's own disk, /tmp. */
  readonly directory?: string
  /** Default: a half of what is free. */
  readonly bytesMax?: number
}

/**
 * A cache on the disk that a function has for its environment's life: one file, written round and round, so that what is oldest is overwritten first. Where a read meets a write, it gives bytes
 * of both, which their checksums tell. A disk that fails is done without.
 */
export function diskCache({ directory = tmpdir(), bytesMax }: DiskCacheOptions = {}): CacheDisk & { close(): Promise<void> } {
  const places = new Map<string, Place>()
  let opened: Promise<{ file: FileHandle; size: number }> | undefined
  let failed = false
  let head = 0

  async function openFile() {
    const own = mkdtempSync(join(directory, 'millrace-segments-'))
    const { bavail, bsize } = await statfs(own)
    const file = await open(join(own, 'cache'), 'w+')
    // Nobody else needs its name, and it goes with the process.
    rmSync(own, { recursive: true })
    return { file, size: Math.floor(bytesMax ?? bavail * bsize * FREE_SHARE) }
  }

  /** A region to write to; what was there is forgotten. `places` are in the order of writing, and so of the file, from `head` on round. */
  function reserve(length: number, size: number): number {
    if (head + length > size) forget(head, size)
    const at = head + length > size ? 0 : head
    head = at + length
    forget(at, head)
    return at
  }

  function forget(from: number, to: number): void {
    for (const [name, place] of places) {
      if (place.at + place.length <= from || place.at >= to) return
      places.delete(name)
    }
  }

  return {
    async get(name) {
      const place = places.get(name)
      if (place === undefined || failed) return undefined
      try {
        const { file } = await opened!
        const bytes = new Uint8Array(place.length)
        const { bytesRead } = await file.read(bytes, 0, place.length, place.at)
        return places.get(name) === place && bytesRead === place.length ? bytes : undefined
      } catch {
        failed = true
        return undefined
      }
    },
    async put(name, bytes) {
      if (failed || bytes.length === 0 || places.has(name)) return
      try {
        opened ??= openFile()
        const { file, size } = await opened
        if (bytes.length > size / 4 || places.has(name)) return
        const place = { name, at: reserve(bytes.length, size), length: bytes.length }
        places.set(name, place)
        await file.write(bytes, 0, bytes.length, place.at)
      } catch {
        failed = true
      }
    },
    async close() {
      failed = true
      await opened?.then(({ file }) => file.close()).catch(() => {})
    },
  }
}
