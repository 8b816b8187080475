import { setTimeout } from 'node:timers/promises'
import type { Streams } from '../../runtime/ports.ts'
import type { Invoker } from './processes.ts'

/** As a mapping's default. */
const BATCH = 100
const IDLE_MS = 5

/** What Lambda's mapping does for one shard: a batch at a time, and the same again when the environment died, which `mayDie` has to expect. Until `ended`. */
export async function runMapping(
  streams: Streams,
  stream: string,
  shard: number,
  { invoke }: Invoker,
  { ended, mayDie }: { readonly ended: () => boolean; readonly mayDie: () => boolean },
): Promise<void> {
  for (let after: string | undefined; !ended(); ) {
    const records = await streams.poll(stream, shard, after, BATCH)
    if (records.length === 0) {
      await setTimeout(IDLE_MS)
      continue
    }
    try {
      const { batchItemFailures } = await invoke(records)
      const failed = batchItemFailures[0]?.itemIdentifier
      const end = failed === undefined ? records.length : records.findIndex(r => BigInt(r.seq) === BigInt(failed))
      if (end > 0) after = records[end - 1]!.seq
    } catch (error) {
      if (!mayDie()) throw error
    }
  }
}
