import { readHeader } from '../protocol/frame.ts'
import { type FrameId, isLater } from '../protocol/item.ts'
import type { Topology } from '../stage/topology.ts'
import type { Kinesis } from './streams.ts'
import { subtaskOf } from './subtask-of.ts'
import { sourceStream } from './world.ts'

/** Frames that have landed on the streams of stages. */
export interface Arrivals {
  /** When the first frame of this version, or of one above it, was sent by the subtask of a log; undefined: none was. */
  sentAt(log: string, version: number, topology: Topology): number | undefined
  /**
   * Whether the frames that a consumer has taken are all that its producer had sent it, without a gap (protocol.md, B1): what is wrong with those from `from`, the last one that was taken before, to `to`. `winner`:
   * the attempt that has won a version; undefined: its slot is gone.
   */
  gapIn(
    channel: { readonly stream: string; readonly shard: number; readonly run: string; readonly producer: number },
    from: FrameId,
    to: FrameId,
    winner: (version: number) => string | undefined,
  ): string | undefined
}

export function watchArrivals(kinesis: Kinesis): Arrivals {
  const firsts = new Map<string, Map<number, number>>()
  /** By channel, frame and attempt: the frame before it. */
  const before = new Map<string, FrameId>()
  kinesis.onRecord = (stream, shard, data, now) => {
    if (stream.startsWith(sourceStream(''))) return
    const { run, producer, version, index, attempt, predVersion, predIndex } = readHeader(data)
    const versions = firsts.get(`${run} ${producer}`) ?? new Map<number, number>()
    firsts.set(`${run} ${producer}`, versions)
    if (!versions.has(version)) versions.set(version, now)
    before.set(`${stream} ${shard} ${run} ${producer} ${version}.${index} ${attempt}`, [predVersion, predIndex])
  }
  return {
    sentAt(log, version, topology) {
      const { stage, shard } = subtaskOf(topology, log)
      const versions = firsts.get(`${topology.run} ${topology.producer(stage.index, shard)}`) ?? new Map<number, number>()
      const times = [...versions].flatMap(([v, sent]) => (v >= version ? [sent] : []))
      return times.length === 0 ? undefined : Math.min(...times)
    },
    gapIn({ stream, shard, run, producer }, from, to, winner) {
      for (let frame = to; isLater(frame, from); ) {
        const attempt = winner(frame[0])
        if (attempt === undefined) return undefined
        const previous = before.get(`${stream} ${shard} ${run} ${producer} ${frame.join('.')} ${attempt}`)
        if (previous === undefined) return `frame ${frame.join('.')} has never come`
        if (isLater(from, previous)) return `${from.join('.')} does not lead to ${to.join('.')}`
        frame = previous
      }
      return undefined
    },
  }
}
