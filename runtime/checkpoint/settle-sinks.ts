import type { CommitLog, Ports } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import type { Decision } from './decision.ts'
import { recommitSinks } from './steps.ts'

/** Checkpoints behind which nothing flowed, and whose sinks are known to have committed. */
const settledLog = (run: string) => `${run}/settled`

/**
 * Nothing flowed since the last complete checkpoint, so that none comes whose sinks' commit would make up for this one's: whoever decided it may have died before that
 * (protocol.md, D7). Once for each such checkpoint, since a pipeline that has nothing to do is asked again and again.
 */
export async function settleSinks(
  topology: Topology,
  last: { readonly checkpoint: number; readonly decision: Decision } | undefined,
  ports: Ports,
): Promise<void> {
  if (last?.decision.outcome !== 'complete' || last.decision.restored === true) return
  const { log } = ports
  const name = settledLog(topology.run)
  if ((await log.get(name, last.checkpoint)) !== undefined) return
  await recommitSinks(topology, ports)
  await log.putIfAbsent(name, last.checkpoint, new Uint8Array([1]))
  await forgetOlder(log, name, last.checkpoint)
}

async function forgetOlder(log: CommitLog, name: string, checkpoint: number): Promise<void> {
  await log.raiseFloor(name, checkpoint)
  await log.expire(name, 1, checkpoint)
}
