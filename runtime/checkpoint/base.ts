import type { KeyedStore } from '../ports.ts'
import type { Runs } from '../snapshot/runs.ts'
import { pack, unpack } from '../state/codec.ts'

/** Keyed state of a subtask behind its log, with the backend `segments`: sorted runs up to a version. */
export interface Base {
  /** The materialised marker (protocol.md, E3). 0: nothing was ever folded. */
  readonly version: number
  readonly runs: Runs
  /** The newest whose fold has brought the marker to its cut. */
  readonly checkpoint: number
}

/** The marker's row holds the base itself: both change together. */
const addressOf = (log: string) => ({ pk: `marker|${log}`, sk: '' })

export async function readBase(store: Pick<KeyedStore, 'batchGet'>, log: string): Promise<Base> {
  const [item] = await store.batchGet([addressOf(log)])
  if (item?.value === undefined) return { version: 0, runs: [], checkpoint: 0 }
  return { version: item.v, ...unpack<Omit<Base, 'version'>>(item.value) }
}

/** Only where the one that is there is older: of several folds to one cut the first counts. */
export async function writeBase(store: KeyedStore, log: string, { version, ...rest }: Base): Promise<void> {
  await store.upsert([{ ...addressOf(log), v: version, value: pack(rest) }])
}
