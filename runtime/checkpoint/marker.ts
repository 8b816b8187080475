import type { KeyedStore } from '../ports.ts'

/** How far a subtask's state is materialised (protocol.md, E3): a version; monotone, written after all its upserts. 0: never. */
export async function readMarker(store: KeyedStore, log: string): Promise<number> {
  const [item] = await store.batchGet([{ pk: `marker|${log}`, sk: '' }])
  return item?.v ?? 0
}

export async function writeMarker(store: KeyedStore, log: string, version: number): Promise<void> {
  await store.upsert([{ pk: `marker|${log}`, sk: '', v: version, value: new Uint8Array() }])
}
