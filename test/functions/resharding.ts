import type { SourceStreams } from '../../runtime/aws/functions/environment.ts'
import { formatPosition } from '../../runtime/aws/position.ts'
import type { StreamRecord } from '../../runtime/ports.ts'
import { context, eventOf, type Handler, shardId } from './world.ts'

/** A hash range has so many keys. */
export const KEYS = 64

interface Shard {
  readonly id: string
  readonly parents: readonly string[]
  /** Hash keys from <= key < to. */
  readonly from: number
  readonly to: number
  closed: boolean
  /** Past its retention: not listed, and nothing of it is read any more. */
  forgotten: boolean
  readonly records: StreamRecord[]
}

/** A stream of Kinesis whose shards can be split and merged. Sequence numbers begin anew in each shard, so that none is taken for another's. */
export function openResharding(shardCount: number) {
  const shards: Shard[] = []
  /** Calls of isReadToEnd. */
  let asked = 0

  function add(parents: readonly Shard[], from: number, to: number): Shard {
    for (const parent of parents) parent.closed = true
    const ids = parents.map(({ id }) => id)
    const shard = { id: shardId(shards.length), parents: ids, from, to, closed: false, forgotten: false, records: [] }
    shards.push(shard)
    return shard
  }

  const find = (id: string) => shards.find(shard => shard.id === id && !shard.forgotten)
  const open = () => shards.filter(({ closed }) => !closed)
  for (let i = 0; i < shardCount; i++) add([], (i * KEYS) / shardCount, ((i + 1) * KEYS) / shardCount)

  const source: SourceStreams = {
    listShards: async () =>
      shards.filter(({ forgotten }) => !forgotten).map(({ id, parents, closed }) => ({ id, parents, closed })),
    async isReadToEnd(_, id, after) {
      asked++
      const shard = find(id)
      return shard === undefined || (shard.closed && shard.records.every(({ seq }) => seq <= after))
    },
    async read(_, id, after, limit) {
      const behind = find(id)!.records.filter(({ seq }) => seq > after)
      return { records: behind.slice(0, limit), isAll: behind.length <= limit }
    },
  }
  return {
    source,
    shards: shards as readonly Readonly<Shard>[],
    open,
    get asked() {
      return asked
    },
    put(key: number, json: string): void {
      const { records } = open().find(({ from, to }) => from <= key && key < to)!
      const seq = formatPosition(String(records.length + 1))
      records.push({ seq, data: Buffer.from(json), arrivedAt: Date.now() })
    },
    split({ id, from, to }: Pick<Shard, 'id' | 'from' | 'to'>): Shard[] {
      const parent = find(id)!
      const middle = (from + to) >> 1
      return [add([parent], from, middle), add([parent], middle, to)]
    },
    merge(a: Pick<Shard, 'id'>, b: Pick<Shard, 'id'>): Shard {
      const [low, high] = [find(a.id)!, find(b.id)!].sort((x, y) => x.from - y.from) as [Shard, Shard]
      return add([low, high], low.from, high.to)
    },
    forget({ id }: Pick<Shard, 'id'>): void {
      find(id)!.forgotten = true
    },
  }
}

export type Resharding = ReturnType<typeof openResharding>

/** What polls a source's stream: each shard by itself, and parents before their children, unless `anyOrder`. */
export function shardMapping({ shards }: Resharding, handler: () => Handler, anyOrder = false) {
  const through = new Map<string, number>()
  const left = ({ id, records }: Readonly<Shard>) => records.length - (through.get(id) ?? 0)
  const isReady = (shard: Readonly<Shard>): boolean =>
    left(shard) > 0 && (anyOrder || shard.parents.every(parent => isThrough(shards.find(({ id }) => id === parent)!)))
  const isThrough = (shard: Readonly<Shard>): boolean =>
    left(shard) === 0 && shard.parents.every(parent => isThrough(shards.find(({ id }) => id === parent)!))

  async function deliver(shard: Readonly<Shard>, from: number, limit: number): Promise<number> {
    const batch = shard.records.slice(from, from + limit)
    const { batchItemFailures } = await handler()(eventOf(batch, shard.id), context())
    const failed = batchItemFailures[0]?.itemIdentifier
    return failed === undefined ? batch.length : batch.findIndex(r => BigInt(r.seq) === BigInt(failed))
  }

  async function stepOf(shard: Readonly<Shard>, limit: number): Promise<boolean> {
    const from = through.get(shard.id) ?? 0
    const done = await deliver(shard, from, limit)
    through.set(shard.id, from + done)
    return done > 0
  }

  return {
    ready: () => shards.filter(isReady),
    stepOf,
    /** Something that came before comes again. */
    again: (shard: Readonly<Shard>, from: number, limit: number) => deliver(shard, from, limit),
    /** What has been delivered of a shard. */
    through: (shard: Readonly<Shard>) => through.get(shard.id) ?? 0,
    async step(limit = 50): Promise<boolean> {
      const [shard] = shards.filter(isReady)
      return shard !== undefined && stepOf(shard, limit)
    },
  }
}
