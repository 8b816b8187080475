import type { RangedBlobs } from '../ports.ts'
import { copyBytes } from './bytes.ts'
import type { Services } from './ports.ts'
import type { Sandbox } from './sandbox.ts'
import { compareUtf8 } from './utf8.ts'

export type Bucket = Map<string, Uint8Array>

/** S3: strong reads and lists, conditional puts. A put that fails may be applied later, over what was put since. */
export function simBlobs(
  services: Pick<Services, 'bucket' | 'onBlob' | 'onDelete'>,
  { call }: Pick<Sandbox, 'call'>,
): RangedBlobs {
  const { bucket } = services
  const store = (key: string, bytes: Uint8Array) => {
    services.onBlob?.(key)
    bucket.set(key, bytes)
  }
  const remove = (key: string) => {
    services.onDelete?.(key)
    bucket.delete(key)
  }
  return {
    put(key, data) {
      const bytes = copyBytes(data)
      return call({ name: `blobs.put ${key}`, isWrite: true, mayDouble: true, apply: () => store(key, bytes) })
    },
    putIfAbsent(key, data) {
      const bytes = copyBytes(data)
      let mine = false
      const apply = () => {
        if (!bucket.has(key)) {
          store(key, bytes)
          mine = true
        }
        return mine
      }
      return call({ name: `blobs.putIfAbsent ${key}`, isWrite: true, apply })
    },
    get: key => call({ name: `blobs.get ${key}`, apply: () => copyBytes(bucket.get(key)) }),
    getRange: (key, from, to) =>
      call({ name: `blobs.getRange ${key}`, apply: () => copyBytes(bucket.get(key)?.subarray(from, to)) }),
    list: (prefix, limit) => call({ name: `blobs.list ${prefix}`, apply: () => keysOf(bucket, prefix).slice(0, limit) }),
    delete: key => call({ name: `blobs.delete ${key}`, isWrite: true, mayDouble: true, apply: () => remove(key) }),
  }
}

export function keysOf(bucket: Bucket, prefix: string): string[] {
  return [...bucket.keys()].filter(key => key.startsWith(prefix)).sort(compareUtf8)
}
