import type { Ports } from '../ports.ts'
import { type SnapshotItem, splitAddress } from '../snapshot/item.ts'
import type { Runs, RunWriter } from '../snapshot/runs.ts'
import type { Topology } from '../stage/topology.ts'

/** Brings items of a snapshot to the table that a run's state is in, many at a time. */
export interface TableWriter {
  add(item: SnapshotItem): Promise<void>
  /** What is left. */
  flush(): Promise<void>
}

const UPSERT_ITEMS = 1000

/** `v`: the version of all of them. Undefined: the run has no table. */
export function tableWriter(
  { run, stateBackend }: Topology,
  v: number,
  { store }: Pick<Ports, 'store'>,
): TableWriter | undefined {
  if (stateBackend.kind === 'segments') return undefined
  let items: SnapshotItem[] = []
  const writer: TableWriter = {
    async add(item) {
      items.push(item)
      if (items.length >= UPSERT_ITEMS) await writer.flush()
    },
    async flush() {
      const all = items.map(({ address, value, expiry }) => {
        const { pk, sk } = splitAddress(address)
        return { pk: `${run}|${pk}`, sk, v, value, ...(expiry !== undefined && { expiry }) }
      })
      items = []
      if (all.length > 0) await store.upsert(all)
    },
  }
  return writer
}

/** All there is of a subtask as one run, without deleted items; `table` gets it besides. */
export async function writeWhole(
  items: AsyncIterable<SnapshotItem>,
  writer: RunWriter,
  table: TableWriter | undefined,
): Promise<Runs> {
  for await (const item of items) {
    if (item.value === undefined) continue
    await writer.add(item)
    await table?.add(item)
  }
  const run = await writer.finish()
  return run.length > 0 ? [run] : []
}
