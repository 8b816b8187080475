import type { StreamRecord } from '../ports.ts'
import type { Decisions } from '../protocol/decisions.ts'
import { type FrameHeader, readHeader } from '../protocol/frame.ts'
import type { Topology } from './topology.ts'
import type { Working } from './working.ts'

/** What a frame is to its reader (protocol.md, B, in this order). `unheard`: its producer has ended, or has taken over from others and this view of the own log is from before it heard of that (F2). */
export type Verdict = 'other-run' | 'unheard' | 'duplicate' | 'undecided' | 'lost' | 'gap' | 'accept'

/** One record of the stream with its header. */
export interface Arrived {
  readonly record: StreamRecord
  readonly header: FrameHeader
}

export function arrived(records: readonly StreamRecord[], after: string): Arrived[] {
  return records.filter(r => r.seq > after).map(record => ({ record, header: readHeader(record.data) }))
}

/** Asks for the fate of every frame of a delivery with one read. */
export async function lookUp(frames: readonly Arrived[], topology: Topology, decisions: Decisions): Promise<void> {
  await decisions.lookUp(
    frames
      .filter(f => f.header.run === topology.run)
      .map(f => ({ log: topology.logOfProducer(f.header.producer), version: f.header.version })),
  )
}

export async function classify(frame: FrameHeader, working: Working, topology: Topology, decisions: Decisions): Promise<Verdict> {
  if (frame.run !== topology.run) return 'other-run'
  if (!working.hears(frame.producer)) return 'unheard'
  const [version, index] = working.lastAccepted(frame.producer)
  if (frame.version < version || (frame.version === version && frame.index <= index)) return 'duplicate'
  const log = topology.logOfProducer(frame.producer)
  let decision = decisions.of(log, frame.version, frame.attempt)
  if (decision === 'undecided') {
    await decisions.confirm(log, frame.version)
    decision = decisions.of(log, frame.version, frame.attempt)
  }
  if (decision !== 'won') return decision
  return frame.predVersion === version && frame.predIndex === index ? 'accept' : 'gap'
}
