import type { SourceBatch } from '../../runtime/connectors/source.ts'
import { openEmbedded } from '../../runtime/embedded/ports.ts'
import { planFor } from '../../runtime/graph/plan-for.ts'
import { customSink, type Pipeline } from '../../runtime/index.ts'
import type { Clock, Ports } from '../../runtime/ports.ts'
import { decodeItem } from '../../runtime/protocol/item.ts'
import { SegmentCache } from '../../runtime/snapshot/segment-cache.ts'
import { type AttemptLimits, defaultLimits } from '../../runtime/stage/attempt.ts'
import { type DeliveryOutcome, Subtask } from '../../runtime/stage/subtask.ts'
import { Topology } from '../../runtime/stage/topology.ts'
import { type StateBackend, type StateBackendName, TABLE } from '../../runtime/state/backend.ts'

/** What a sink wrote in one attempt: it counts if that attempt won. */
interface Flush {
  readonly log: string
  readonly version: number
  readonly attempt: string
  readonly rows: readonly unknown[]
}

/** A clock that is moved by hand. */
export interface HandClock extends Clock {
  time: number
}

/** A plan on in-memory ports, whose subtasks the test drives itself: environments come and go, and ports fail, as the test says. */
export interface Harness {
  readonly topology: Topology
  readonly ports: Ports
  readonly clock: HandClock
  /** A new environment of a subtask, cold; on other ports where given (see `faulty`). */
  environment(
    stage: number,
    shard?: number,
    options?: { ports?: Ports; limits?: Partial<AttemptLimits>; topology?: Topology },
  ): Subtask
  /** What another machine knows: shards as they were in the beginning. */
  newTopology(): Topology
  /** Delivers all that lies behind the environment's committed position, or the first `limit` frames of it, as one batch. */
  deliver(subtask: Subtask, limit?: number): Promise<DeliveryOutcome>
  /** Rows of winning attempts, in order of flushing; `upTo`: by log, the last version that counts. */
  results(upTo?: ReadonlyMap<string, number>): any[]
}

export async function harness(
  app: Pipeline,
  {
    parallelism = 1,
    splits: splitsOf = 1,
    run = 'run',
    /** The shape of a checkpoint that it is to start from. */
    found = undefined as string | undefined,
    stateBackend = 'table' as StateBackendName,
    segmentCacheBytes = 100_000,
  } = {},
): Promise<Harness> {
  const clock: HandClock = { time: 1_000_000, now: () => clock.time, sleep: async () => {} }
  const winners = new Map<string, string>()
  const ports = remembering(await openEmbedded({ clock }), winners)
  const plan = planFor(app.graph(), { parallelism }, found)
  const splits = new Map(plan.stages.filter(s => s.source !== undefined).map(s => [s.index, splitsOf]))
  const flushes: Flush[] = []
  const names = plan.stages.flatMap(s => s.nodes.flatMap(n => (n.sink === undefined ? [] : [{ name: n.sink.name, stage: s }])))
  const sinks = Object.fromEntries(
    names.map(({ name, stage }) => [name, collecting((shard, f) => flushes.push({ ...f, log: `${run}/${stage.id}/${shard}` }))]),
  )
  const backend: StateBackend =
    stateBackend === 'table' ? TABLE : { kind: stateBackend, cache: new SegmentCache({ bytesMax: segmentCacheBytes }) }
  const newTopology = () => new Topology(plan, app.name, run, splits, { sinks, snapshots: true, stateBackend: backend })
  const topology = newTopology()
  return {
    topology,
    ports,
    clock,
    newTopology,
    environment(stage, shard = 0, o = {}) {
      return new Subtask(o.topology ?? topology, topology.stages[stage]!, shard, o.ports ?? ports, {
        ...defaultLimits,
        ...o.limits,
      })
    },
    async deliver(subtask, limit = 1000) {
      const { working } = await subtask.ready()
      const after = working.position.seq === '' ? undefined : working.position.seq
      return subtask.deliver(await ports.streams.poll(topology.stream(subtask.at.stage.index), subtask.shard, after, limit))
    },
    results(upTo) {
      return flushes
        .filter(
          f => winners.get(`${f.log}#${f.version}`) === f.attempt && f.version <= (upTo?.get(f.log) ?? Number.POSITIVE_INFINITY),
        )
        .flatMap(f => f.rows)
    },
  }
}

/** Remembers who won each slot, also when it has expired and a zombie has put something there. */
function remembering(ports: Ports, winners: Map<string, string>): Ports {
  const putIfAbsent: Ports['log']['putIfAbsent'] = async (log, version, item) => {
    const won = await ports.log.putIfAbsent(log, version, item)
    const slot = `${log}#${version}`
    if (won && !log.endsWith('decisions') && !winners.has(slot)) winners.set(slot, decodeItem(item).attempt)
    return won
  }
  return { ...ports, log: { ...ports.log, putIfAbsent } }
}

function collecting(flushed: (shard: number, flush: Omit<Flush, 'log'>) => void) {
  return customSink<unknown>({
    name: 'collecting',
    open: async context => {
      let rows: unknown[] = []
      return {
        write(value: unknown) {
          rows.push(value)
        },
        async flush(commit: { version: number; attempt: string }) {
          flushed(context.subtask, { version: commit.version, attempt: commit.attempt, rows })
          rows = []
          return undefined
        },
        async close() {},
      }
    },
  })
}

/** Raw records of a split: `values` are all of it, `from` and `to` the part that this batch is. */
export function batch(values: readonly unknown[], from: number, to: number): SourceBatch {
  return {
    records: values.slice(from, to).map(v => JSON.stringify(v)),
    after: i => ({ index: from + i + 1 }),
    next: { index: to },
    done: to >= values.length,
  }
}

/** Called before and after each call to a port; what it throws, the caller sees: before, nothing was done; after, its answer is lost. */
export type Fault = (call: {
  /** From 1, over all ports. */
  readonly n: number
  readonly name: string
  readonly args: readonly unknown[]
  readonly when: 'before' | 'after'
}) => void

/** Ports that fail where `fault` says. */
export function faulty(ports: Ports, fault: Fault): Ports {
  let calls = 0
  const wrap = <T extends object>(port: T, prefix: string): T =>
    Object.fromEntries(
      Object.entries(port).map(([method, fn]) => [
        method,
        async (...args: unknown[]) => {
          const name = `${prefix}.${method}`
          const n = ++calls
          fault({ n, name, args, when: 'before' })
          const answer = await (fn as (...a: unknown[]) => Promise<unknown>)(...args)
          fault({ n, name, args, when: 'after' })
          return answer
        },
      ]),
    ) as T
  return {
    ...ports,
    streams: wrap(ports.streams, 'streams'),
    log: wrap(ports.log, 'log'),
    store: wrap(ports.store, 'store'),
    blobs: wrap(ports.blobs, 'blobs'),
  }
}

/** What a service says when its answer does not come. */
export class Lost extends Error {}
