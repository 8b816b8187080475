import { toRow } from '../../runtime/aws/base-row.ts'
import { formatShard } from '../../runtime/aws/position.ts'
import { rowBytes } from '../../runtime/aws/row.ts'
import type { CommitLog, KeyedStore, Ports, RangedBlobs, Streams } from '../../runtime/ports.ts'
import { decodeItem } from '../../runtime/protocol/item.ts'
import machine from './machine.json' with { type: 'json' }
import type { Usage } from './usage.ts'

const WRITE_UNIT = 1024
const READ_UNIT = 4096
const PUT_UNIT = 25 * 1024
/** As runtime/aws/log.ts writes a slot: version in 16 digits, and the id of the call. */
const VERSION_CHARS = 16
const WRITER_CHARS = 20
const LIST_PAGE = 1000
const GET_KEYS_MAX = 100
const DELETE_KEYS_MAX = 25

const writeUnits = (bytes: number) => Math.max(1, Math.ceil(bytes / WRITE_UNIT))
const readUnits = (bytes: number) => Math.max(1, Math.ceil(bytes / READ_UNIT))

/** The time that one invocation has waited for services so far: calls that run side by side wait together. */
export interface Waited {
  ms: number
}

/** Bytes of the rows of all logs and of state: shared by all who look at the same ports. */
export interface Sizes {
  readonly slots: Map<string, Map<number, number>>
  readonly state: Map<string, Map<string, number>>
}

export const noSizes = (): Sizes => ({ slots: new Map(), state: new Map() })

type Figures = Partial<Usage>

/**
 * Ports that count what each call would be charged for on AWS, as runtime/aws makes its requests. test/bench/bill.test.ts holds the counts to what AWS's own ports report on
 * LocalStack.
 */
export function meteredPorts(ports: Ports, usage: Usage, waited: Waited, sizes: Sizes): Ports {
  /** One call, or several that run one after the other. */
  async function call<T>(waitMs: number, work: Promise<T>, figures: (result: T) => Figures, calls = 1): Promise<T> {
    const from = waited.ms
    const result = await work
    waited.ms = Math.max(waited.ms, from + waitMs * calls)
    usage.calls += calls
    for (const [figure, value] of Object.entries(figures(result))) usage[figure as keyof Usage] += value
    return result
  }
  return {
    clock: ports.clock,
    random: ports.random,
    streams: meteredStreams(ports.streams, call),
    log: meteredLog(ports.log, call, sizes),
    store: meteredStore(ports.store, call, sizes),
    blobs: meteredBlobs(ports.blobs, call),
  }
}

type Call = <T>(waitMs: number, work: Promise<T>, figures: (result: T) => Figures, calls?: number) => Promise<T>
const { dynamodbRead, dynamodbWrite, kinesisPut, s3 } = machine.waitMs

function meteredStreams(streams: Streams, call: Call): Streams {
  return {
    ...streams,
    put: (stream, shard, data) =>
      call(kinesisPut, streams.put(stream, shard, data), () => ({
        frames: 1,
        frameBytes: data.length,
        putUnits: Math.ceil((data.length + String(shard).length) / PUT_UNIT),
      })),
    poll: (stream, shard, ...rest) => {
      throw new Error(`${stream}/${formatShard(shard)} was polled ${rest}: functions are given what is in their shards`)
    },
  }
}

function meteredLog(log: CommitLog, call: Call, { slots }: Sizes): CommitLog {
  const of = (name: string) => slots.get(name) ?? slots.set(name, new Map()).get(name)!
  /** As `pk`, `sk`, `item` and `writer`. */
  const slotBytes = (name: string, item: number) => Buffer.byteLength(name) + 2 + 2 + VERSION_CHARS + 4 + item + 6 + WRITER_CHARS
  const sizeOf = (name: string, version: number) => of(name).get(version) ?? 0
  return {
    putIfAbsent(name, version, item) {
      const bytes = slotBytes(name, item.length)
      const units = writeUnits(bytes)
      const inline = inlineBytes(name, item)
      return call(dynamodbWrite, log.putIfAbsent(name, version, item), written => {
        if (written) of(name).set(version, bytes)
        if (inline === undefined) return { writeUnits: units }
        return {
          commits: written ? 1 : 0,
          commitUnits: units,
          commitUnitsBesideState: writeUnits(bytes - inline),
          stateBytes: inline,
        }
      })
    },
    get: (name, version) => call(dynamodbRead, log.get(name, version), () => ({ readUnits: readUnits(sizeOf(name, version)) })),
    batchGet: asked => {
      // Eventually consistent: half a unit.
      const units = asked.reduce((all, { log: name, version }) => all + readUnits(sizeOf(name, version)) / 2, 0)
      const calls = Math.ceil(asked.length / GET_KEYS_MAX)
      return call(calls === 0 ? 0 : dynamodbRead, log.batchGet(asked), () => ({ readUnits: units }), Math.min(1, calls))
    },
    range: (name, from, limit) =>
      call(dynamodbRead, log.range(name, from, limit), found => ({
        readUnits: readUnits(found.reduce((all, { version }) => all + sizeOf(name, version), 0)),
      })),
    floor: name => call(dynamodbRead, log.floor(name), () => ({ readUnits: 1 })),
    raiseFloor: (name, floor) => call(dynamodbWrite, log.raiseFloor(name, floor), () => ({ writeUnits: 1 })),
    expire(name, from, to) {
      const gone = [...of(name)].filter(([version]) => version >= from && version < to)
      const bytes = gone.reduce((all, [, size]) => all + size, 0)
      const calls = 2 + Math.ceil(gone.length / DELETE_KEYS_MAX)
      return call(
        dynamodbWrite,
        log.expire(name, from, to),
        () => {
          for (const [version] of gone) of(name).delete(version)
          const expiredUnits = gone.reduce((all, [, size]) => all + writeUnits(size), 0)
          return { expiredUnits, readUnits: 1 + readUnits(bytes) }
        },
        calls,
      )
    },
  }
}

/** Changes of state that lie in a commit. Undefined: it is no commit of a subtask. */
function inlineBytes(name: string, item: Uint8Array): number | undefined {
  if (!/\/\d+$/.test(name)) return undefined
  const decoded = decodeItem(item)
  if (decoded.kind !== 'commit') return undefined
  return decoded.chunk !== undefined && 'inline' in decoded.chunk ? decoded.chunk.inline.length : 0
}

function meteredStore(store: KeyedStore, call: Call, { state }: Sizes): KeyedStore {
  const of = (pk: string) => state.get(pk) ?? state.set(pk, new Map()).get(pk)!
  const sizeOf = (pk: string, sk: string) => state.get(pk)?.get(sk) ?? 0
  return {
    batchGet: addresses => {
      const units = addresses.reduce((all, { pk, sk }) => all + readUnits(sizeOf(pk, sk)), 0)
      const calls = Math.min(1, addresses.length)
      return call(dynamodbRead, store.batchGet(addresses), () => ({ readUnits: units }), calls)
    },
    range: (pk, from, to, limit) =>
      call(dynamodbRead, store.range(pk, from, to, limit), items => ({
        readUnits: readUnits(items.reduce((all, { sk }) => all + sizeOf(pk, sk), 0)),
      })),
    upsert(items) {
      let units = 0
      for (const item of items) {
        const bytes = rowBytes(toRow(item, undefined))
        units += writeUnits(Math.max(bytes, sizeOf(item.pk, item.sk)))
        // Nobody writes a tombstone that is not swept, half an hour later.
        if (item.value === undefined) units++
        of(item.pk).set(item.sk, bytes)
      }
      const rounds = Math.ceil(items.length / machine.writesAtATime)
      return call(dynamodbWrite * rounds, store.upsert(items), () => ({
        writeUnits: units,
        stateUnits: units,
        // The first is counted as a call already.
        calls: Math.max(0, items.length - 1),
      }))
    },
    sweep(pk, v, now) {
      const bytes = [...(state.get(pk)?.values() ?? [])].reduce((all, size) => all + size, 0)
      return call(dynamodbRead, store.sweep(pk, v, now), () => ({ readUnits: readUnits(bytes) }))
    },
  }
}

function meteredBlobs(blobs: RangedBlobs, call: Call): RangedBlobs {
  const stateBytes = (key: string, data: Uint8Array) => (key.startsWith('chunks/') ? data.length : 0)
  return {
    put: (key, data) => call(s3, blobs.put(key, data), () => ({ s3Puts: 1, stateBytes: stateBytes(key, data) })),
    putIfAbsent: (key, data) => call(s3, blobs.putIfAbsent(key, data), () => ({ s3Puts: 1 })),
    get: key => call(s3, blobs.get(key), () => ({ s3Gets: 1 })),
    getRange: (key, from, to) => call(s3, blobs.getRange(key, from, to), () => ({ s3Gets: 1 })),
    list: prefix => call(s3, blobs.list(prefix), keys => ({ s3Puts: Math.max(1, Math.ceil(keys.length / LIST_PAGE)) })),
    delete: key => call(s3, blobs.delete(key), () => ({})),
  }
}
