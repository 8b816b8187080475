import type { Ports } from '../ports.ts'
import type { StateBackend } from '../state/backend.ts'
import type { BaseReads } from '../state/base.ts'
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

export type BasePorts = Pick<Ports, 'store'> & { readonly blobs: Pick<Ports['blobs'], 'getRange'> }

export function openLogBase(backend: StateBackend, ports: BasePorts, options: LogBaseOptions): LogBase {
  if (backend.kind === 'segments') return lazySegmentBase(backend, ports, options)
  const { store } = ports
  return {
    marker: () => readMarker(store, options.log),
    atLeast: () => {},
    batchGet: addresses => store.batchGet(addresses),
    range: (pk, from, to, limit) => store.range(pk, from, to, limit),
  }
}

/** Most runs have their state in a table: what reads segments is loaded where there are some. */
function lazySegmentBase(...args: [StateBackend & { kind: 'segments' }, BasePorts, LogBaseOptions]): LogBase {
  let needed = 0
  let loaded: LogBase | undefined
  const loading = async () => {
    const { segmentBase } = await import('./segment-base.ts')
    loaded ??= segmentBase(...args)
    loaded.atLeast(needed)
    return loaded
  }
  return {
    marker: async () => (loaded ?? (await loading())).marker(),
    atLeast(version) {
      needed = Math.max(needed, version)
      loaded?.atLeast(version)
    },
    batchGet: async addresses => (loaded ?? (await loading())).batchGet(addresses),
    range: async (...asked) => (loaded ?? (await loading())).range(...asked),
  }
}
