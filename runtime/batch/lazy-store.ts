import { mkdirSync, rmSync } from 'node:fs'
import { type EmbeddedPorts, openEmbedded } from '../embedded/ports.ts'
import type { KeyedStore } from '../ports.ts'

/** A store on disk, below `directory`, that is made when something is first written to it: most tasks never do, and making one takes longer than a small task. */
export function lazyStore(directory: string): KeyedStore & { close(): Promise<void> } {
  let opened: Promise<EmbeddedPorts> | undefined
  const open = () => {
    opened ??= make(directory)
    return opened.then(ports => ports.store)
  }
  return {
    batchGet: async addresses => (opened === undefined ? addresses.map(() => undefined) : (await open()).batchGet(addresses)),
    range: async (pk, from, to, limit) => (opened === undefined ? [] : (await open()).range(pk, from, to, limit)),
    upsert: async items => (items.length === 0 ? undefined : (await open()).upsert(items)),
    sweep: async (pk, v, now) => (opened === undefined ? undefined : (await open()).sweep(pk, v, now)),
    async close() {
      if (opened === undefined) return
      await (await opened).close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function make(directory: string): Promise<EmbeddedPorts> {
  rmSync(directory, { recursive: true, force: true }) // of a task that died
  mkdirSync(directory, { recursive: true })
  return openEmbedded({ directory })
}
