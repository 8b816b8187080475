import type { Ports } from '../ports.ts'
import { SnapshotError } from '../snapshot/error.ts'
import { joinAddress, type SnapshotItem, splitAddress } from '../snapshot/item.ts'
import { RunReader } from '../snapshot/run-reader.ts'
import { SegmentGoneError } from '../snapshot/segment-cache.ts'
import type { StateBackend } from '../state/backend.ts'
import { type BaseReads, StaleViewError } from '../state/base.ts'
import { readBase } from './base.ts'
import { readMarker } from './marker.ts'

/** The state behind one subtask's log, as one environment sees it. */
export interface LogBase extends BaseReads {
  /** How far it goes now (protocol.md, E3), asked strongly; reads are of that, or newer. */
  marker(): Promise<number>
  /** From now on reads are of `version` or newer: entries up to it may have left memory. */
  atLeast(version: number): void
}

export interface LogBaseOptions {
  readonly run: string
  readonly log: string
  /** The reader's own head: a base that is ahead of it is an error of its view (E2). */
  readonly view: () => number
}

type BasePorts = Pick<Ports, 'store'> & { readonly blobs: Pick<Ports['blobs'], 'getRange'> }

export function openLogBase(backend: StateBackend, ports: BasePorts, options: LogBaseOptions): LogBase {
  if (backend.kind === 'segments') return segmentBase(backend, ports, options)
  const { store } = ports
  return {
    marker: () => readMarker(store, options.log),
    atLeast: () => {},
    batchGet: addresses => store.batchGet(addresses),
    range: (pk, from, to, limit) => store.range(pk, from, to, limit),
  }
}

interface View {
  readonly version: number
  readonly reader: RunReader
}

/**
 * Reads the runs that the marker names. They are immutable, so that a reader may keep to those it has: they hold all that may have left its memory, and nothing from its future.
 * When retention has taken one away, there is a newer base, and the reader goes on with that.
 */
function segmentBase({ cache }: StateBackend & { kind: 'segments' }, ports: BasePorts, options: LogBaseOptions): LogBase {
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
