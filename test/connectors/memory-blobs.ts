import type { Blobs } from '../../runtime/ports.ts'

/** Objects in a map, for those who need no more; `keys` are all of them. */
export function memoryBlobs(): Blobs & { keys(): string[] } {
  const objects = new Map<string, Uint8Array>()
  const list = (prefix: string) => [...objects.keys()].filter(key => key.startsWith(prefix)).sort()
  return {
    async put(key, data) {
      objects.set(key, data.slice())
    },
    async putIfAbsent(key, data) {
      if (objects.has(key)) return false
      objects.set(key, data.slice())
      return true
    },
    get: async key => objects.get(key),
    list: async prefix => list(prefix),
    async delete(key) {
      objects.delete(key)
    },
    keys: () => list(''),
  }
}
