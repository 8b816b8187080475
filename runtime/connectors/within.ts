import type { Blobs } from '../ports.ts'

/** The objects whose keys begin with `prefix`, by what follows it. */
export function within(blobs: Blobs, prefix: string): Blobs {
  return {
    put: (key, data) => blobs.put(prefix + key, data),
    putIfAbsent: (key, data) => blobs.putIfAbsent(prefix + key, data),
    get: key => blobs.get(prefix + key),
    list: async (wanted, limit) => (await blobs.list(prefix + wanted, limit)).map(key => key.slice(prefix.length)),
    delete: key => blobs.delete(prefix + key),
  }
}
