import { SnapshotError } from '../snapshot/error.ts'
import { joinAddress, type SnapshotItem, splitAddress } from '../snapshot/item.ts'
import { RunReader } from '../snapshot/run-reader.ts'
import { SegmentGoneError } from '../snapshot/segment-cache.ts'
import type { StateBackend } from '../state/backend.ts'
import { StaleViewError } from '../state/base.ts'
import { readBase } from './base.ts'
import type { BasePorts, LogBase, LogBaseOptions } from './log-base.ts'

interface View {
  readonly version: number
  readonly reader: RunReader
}

/**
 * Reads the runs that the marker names. They are immutable, so that a reader may keep to those it has: they hold all that may have left its memory, and nothing from its future.
 * When retention has taken one away, there is a newer base, and the reader goes on with that.
 */
export function segmentBase({ cache }: StateBackend & { kind: 'segments' }, ports: BasePorts, options: LogBaseOptions): LogBase {
  const { run, log, view } = options
  let current: Promise<View> | undefined
  let needed = 0

  function load(): Promise<View> {
    const loading = readBase(ports.store, log).then(({ version, runs }) => ({
      version,
      reader: new RunReader(runs, ports.blobs, cache),
    }))
    current = loading
    loading.catch(() => {
      if (current === loading) current = undefined
    })
    return loading
  }

  async function base(): Promise<View> {
    let found = await (current ?? load())
    if (found.version < needed) found = await load()
    if (found.version > view())
      throw new StaleViewError(`the state of ${log} is at version ${found.version}, the view of the log at ${view()}`)
    if (found.version < needed)
      throw new SnapshotError(`the state of ${log} is at version ${found.version}, though it has been at ${needed}`)
    return found
  }

  async function reading<T>(read: (view: View) => Promise<T>): Promise<T> {
    for (;;) {
      const used = await base()
      try {
        return await read(used)
      } catch (error) {
        if (!(error instanceof SegmentGoneError)) throw error
        const newer = (await current)?.version ?? 0
        if (newer <= used.version && (await load()).version <= used.version)
          throw new SnapshotError(`${error.message}, though the state of ${log} is in it`, { cause: error })
      }
    }
  }

  const inRun = (pk: string) => pk.slice(run.length + 1)
  const address = (pk: string, sk: string) => joinAddress(inRun(pk), sk)
  const baseItem = ({ version }: View, { address: at, value, expiry }: SnapshotItem) => {
    const { pk, sk } = splitAddress(at)
    // A copy: what is read may be changed, and the block is others' too.
    const item = { pk: `${run}|${pk}`, sk, v: version, value: value && new Uint8Array(value) }
    return expiry === undefined ? item : { ...item, expiry }
  }

  return {
    async marker() {
      return (await load()).version
    },
    atLeast(version) {
      needed = Math.max(needed, version)
    },
    batchGet: addresses =>
      reading(async at => {
        const found = await at.reader.find(addresses.map(a => address(a.pk, a.sk)))
        return found.map(item => item && baseItem(at, item))
      }),
    range: (pk, from, to, limit) =>
      reading(async at => {
        if (from >= to) return []
        const found = await at.reader.range(address(pk, ''), address(pk, from), address(pk, to), limit)
        return found.map(item => baseItem(at, item))
      }),
  }
}
