import type { Blobs } from '../ports.ts'

/** The blobs whose keys begin with a prefix, by what follows it. */
export function blobsBelow(blobs: Blobs, prefix: string): Blobs {
  return {
    put: (key, data) => blobs.put(prefix + key, data),
    putIfAbsent: (key, data) => blobs.putIfAbsent(prefix + key, data),
    get: key => blobs.get(prefix + key),
    list: async below => (await blobs.list(prefix + below)).map(key => key.slice(prefix.length)),
    delete: key => blobs.delete(prefix + key),
  }
}
