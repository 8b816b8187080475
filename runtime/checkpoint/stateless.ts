import type { Ports } from '../ports.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { Topology } from '../stage/topology.ts'
import { writeBase } from './base.ts'
import type { Part } from './cut.ts'
import { writeMarker } from './marker.ts'
import type { MaterialisedPart } from './snapshot.ts'
import type { CheckpointStart } from './start.ts'

/** Whether there may be anything to fold of a part. Sources and what is chained to them have none. */
export function keepsState(topology: Topology, { stage }: Pick<Part, 'stage'>): boolean {
  return keyedNodes(topology.stages[stage]!.stage).length > 0
}

/** What `materialisePart` does of a part without state: only the marker moves, so that the log may expire (protocol.md, E3). No fold writes anything here, so that none has to claim it. */
export async function materialiseStateless(
  topology: Topology,
  { checkpoint }: CheckpointStart,
  { log, version, ended }: Part,
  { store }: Pick<Ports, 'store'>,
): Promise<MaterialisedPart> {
  const isTable = topology.stateBackend.kind === 'table'
  const runs = isTable && !topology.snapshots ? undefined : []
  await (isTable ? writeMarker(store, log, version) : writeBase(store, log, { version, runs: [], checkpoint }))
  const nothing = { from: version, to: version, items: 0, bytes: 0, tombstones: new Set<string>() }
  return { ...nothing, runs, folded: version, changes: [], ...(ended && { settled: true }) }
}
