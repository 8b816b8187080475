import type { Ports } from '../../runtime/ports.ts'
import { type CommitItem, emptyHead, encodeItem } from '../../runtime/protocol/item.ts'

export const LOG = 'r1/pages/0'
export const STREAM = 'r1/pages'

/** A commit whose changes of state are so many bytes. */
export function commit(version: number, stateBytes: number): Uint8Array {
  const item: CommitItem = {
    kind: 'commit',
    attempt: `attempt-${version}`,
    prev: version === 1 ? '' : `attempt-${version - 1}`,
    lastCommit: [version - 1, ''],
    head: emptyHead,
    chunk: stateBytes === 0 ? undefined : { inline: new Uint8Array(stateBytes) },
  }
  return encodeItem(item)
}

/** Each call of a port that costs something, on rows small and large, there and missing. */
export async function exercise({ log, store, blobs, streams }: Ports, stream: string): Promise<void> {
  for (const [i, bytes] of [0, 500, 2_000, 0, 9_000].entries()) await log.putIfAbsent(LOG, i + 1, commit(i + 1, bytes))
  await log.putIfAbsent(LOG, 3, commit(3, 1_500)) // taken
  await log.get(LOG, 5)
  await log.get(LOG, 9)
  await log.range(LOG, 1, 200)
  await log.range(LOG, 6, 200)
  await log.batchGet([1, 2, 5, 9].map(version => ({ log: LOG, version })))
  await log.floor(LOG)
  await log.raiseFloor(LOG, 4)
  await log.expire(LOG, 1, 4)
  const item = (sk: string, v: number, bytes: number) => ({ pk: 'r1|op|k1', sk, v, value: new Uint8Array(bytes) })
  await store.upsert([item('v|a', 1, 10), item('v|b', 1, 3_000)])
  await store.upsert([item('v|b', 2, 10), item('v|a', 2, 5_000)])
  await store.batchGet(['v|a', 'v|b', 'v|none'].map(sk => ({ pk: 'r1|op|k1', sk })))
  await store.range('r1|op|k1', 'v|', 'v~', 100)
  await blobs.put('chunks/r1/pages/0/1-a', new Uint8Array(3_000))
  await blobs.putIfAbsent('manifest', new Uint8Array(10))
  await blobs.get('manifest')
  await blobs.get('none')
  await blobs.list('chunks/')
  await streams.put(stream, 0, new Uint8Array(100))
  await streams.put(stream, 0, new Uint8Array(60_000))
}
