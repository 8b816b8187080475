import { MillraceError } from '../errors.ts'
import type { Ports } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import { decisions } from './decision.ts'

export interface CheckpointStart {
  readonly checkpoint: number
  /** Epoch ms. */
  readonly startedAt: number
  /** The last complete checkpoint: its segments are part of this one's snapshot. */
  readonly previous: number | undefined
}

/** Another run has taken the place of this one (protocol.md, D8). */
export class SupersededError extends MillraceError {
  override readonly name = 'SupersededError'
}

/**
 * The next checkpoint: n + 1 begins only after decision(n) (protocol.md, D6). `known`: the decisions, if they were just read.
 * @throws SupersededError
 */
export async function startCheckpoint(
  topology: Topology,
  ports: Ports,
  known?: Awaited<ReturnType<typeof decisions>>,
): Promise<CheckpointStart> {
  const decided = known ?? (await decisions(ports.log, topology.run))
  const last = decided.at(-1)
  if (last?.decision.outcome === 'superseded')
    throw new SupersededError(`run ${topology.run} of '${topology.pipeline}' has ended: ${last.decision.reason}`)
  return {
    checkpoint: (last?.checkpoint ?? 0) + 1,
    startedAt: ports.clock.now(),
    previous: decided.findLast(d => d.decision.outcome === 'complete')?.checkpoint,
  }
}
