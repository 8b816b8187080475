import { ShardMismatchError } from '../aws/errors.ts'
import { formatPosition, formatShard } from '../aws/position.ts'
import type { StreamRecord, Streams } from '../ports.ts'
import { ENTRY_RECORD, readFrame, readHeader } from '../protocol/frame.ts'
import { SEAL_EDGE } from '../protocol/seal.ts'
import { copyBytes } from './bytes.ts'
import type { Services } from './ports.ts'
import type { Sandbox } from './sandbox.ts'
import type { Simulation } from './simulation.ts'
import { landingOf } from './stage-streams.ts'

/** Shards of streams, by `<stream> <shard>`. */
export interface Kinesis {
  readonly shards: ReadonlyMap<string, readonly StreamRecord[]>
  records(stream: string, shard: number): readonly StreamRecord[]
  append(stream: string, shard: number, data: Uint8Array, now: number): string
  /** Called for each record that lands. */
  onRecord: ((stream: string, shard: number, data: Uint8Array, now: number) => void) | undefined
  /** Frames that were put and are not there. */
  readonly lost: readonly Uint8Array[]
  /** The position of a record that is lost. */
  lose(data: Uint8Array): string
  /** What lies behind the first `kept` records of a shard is lost. */
  loseEnd(stream: string, shard: number, kept: number): void
  /** Resolves when there is a record behind the first `known`. */
  more(stream: string, shard: number, known: number): Promise<void>
  /** A stream is deleted. */
  clear(stream: string): void
  copy(): Kinesis
}

/** As on AWS (aws/names.ts), a stage has one stream, whatever run it works for. */
export function streamOf(stream: string): string {
  return stream.slice(stream.indexOf('/') + 1)
}

export function openKinesis(
  gap: () => number,
  shards = new Map<string, StreamRecord[]>(),
  first = 0,
  lost: Uint8Array[] = [],
): Kinesis {
  const waiters = new Map<string, (() => void)[]>()
  let sequence = first

  function of(name: string): StreamRecord[] {
    const known = shards.get(name)
    if (known !== undefined) return known
    const fresh: StreamRecord[] = []
    shards.set(name, fresh)
    return fresh
  }

  const next = () => formatPosition(String((sequence += 1 + gap())))

  const kinesis: Kinesis = {
    shards,
    onRecord: undefined,
    lost,
    loseEnd: (stream, shard, kept) =>
      void lost.push(
        ...of(`${stream} ${shard}`)
          .splice(kept)
          .map(({ data }) => data),
      ),
    lose(data) {
      lost.push(copyBytes(data))
      return next()
    },
    records: (stream, shard) => of(`${stream} ${shard}`),
    append(stream, shard, data, now) {
      const name = `${stream} ${shard}`
      const seq = next()
      kinesis.onRecord?.(stream, shard, data, now)
      of(name).push({ seq, data: copyBytes(data), arrivedAt: Math.floor(now) })
      const waiting = waiters.get(name) ?? []
      waiters.delete(name)
      for (const wake of waiting) wake()
      return seq
    },
    async more(stream, shard, known) {
      const name = `${stream} ${shard}`
      while (of(name).length <= known)
        await new Promise<void>(resolve => waiters.set(name, [...(waiters.get(name) ?? []), resolve]))
    },
    clear(stream) {
      for (const name of [...shards.keys()]) if (name.startsWith(`${stream} `)) shards.delete(name)
    },
    copy: () => openKinesis(gap, new Map([...shards].map(([name, records]) => [name, [...records]])), sequence, [...lost]),
  }
  return kinesis
}

/** It follows another of its version on its channel. What the ports' own tests put is no frame at all. */
function isLaterFrame(data: Uint8Array): boolean {
  try {
    return readHeader(data).index > 1
  } catch {
    return false
  }
}

/** Nothing comes behind it that would show that it is lost: no checkpoint completes any more, by the name of the subtask that waits. */
function isSeal(frame: Uint8Array): boolean {
  const cursor = readFrame(frame).reader()
  for (let type = cursor.next(); type >= 0; type = cursor.next())
    if (type === ENTRY_RECORD && cursor.edge === SEAL_EDGE) return true
  return false
}

/** Kinesis: a put that fails may land, now or later, and one that succeeds may land once more. What is put to a shard that is closed lands in what came of it. */
export function simStreams(
  { scheduler, faults, trace }: Simulation,
  { kinesis, between }: Services,
  { call }: Pick<Sandbox, 'call'>,
): Streams {
  return {
    async put(name, shard, data) {
      const stream = streamOf(name)
      const bytes = copyBytes(data)
      const lineage = between.get(stream)!
      const apply = () => {
        const landed = landingOf(lineage, shard)
        const isLost =
          faults.happens('stream loses a frame', name) ||
          (isLaterFrame(bytes) && faults.happens('stream loses a later frame of a version', name))
        if (!isLost || isSeal(bytes)) return { seq: kinesis.append(stream, landed, bytes, scheduler.now), landed }
        trace?.(`${name} ${landed} loses a frame`)
        return { seq: kinesis.lose(bytes), landed }
      }
      const { seq, landed } = await call({ name: `streams.put ${stream} ${shard}`, isWrite: true, mayDouble: true, apply })
      if (landed === shard) return seq
      throw new ShardMismatchError(`stream ${stream}`, formatShard(shard), `the record went to ${formatShard(landed)}`)
    },
    poll: (stream, shard, after, limit, bytesMax = Number.POSITIVE_INFINITY) =>
      call({
        name: `streams.poll ${stream} ${shard}`,
        apply: () => {
          let bytes = 0
          const behind = kinesis.records(streamOf(stream), shard).filter(({ seq }) => after === undefined || seq > after)
          const polled = behind.slice(0, limit).filter(({ data }, i) => (bytes += data.byteLength) <= bytesMax || i === 0)
          return polled.map(record => ({ ...record, data: copyBytes(record.data) }))
        },
      }),
    /** Kinesis deletes by time alone. */
    async trim() {},
  }
}
