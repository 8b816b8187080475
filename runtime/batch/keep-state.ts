import { partOf } from '../checkpoint/cut.ts'
import type { SubtaskSnapshot } from '../checkpoint/manifest.ts'
import { materialisePart } from '../checkpoint/snapshot.ts'
import type { Ports } from '../ports.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { Topology } from '../stage/topology.ts'
import { pack } from '../state/codec.ts'
import { stateKey } from './kept-state.ts'
import { LAST_CUT } from './last-cut.ts'

/** At the end of a task: its state, durable by itself, and all that the subtask is besides. */
export async function keepState(topology: Topology, stage: number, shard: number, ports: Ports): Promise<void> {
  const part = (await partOf(ports.log, topology, stage, shard, LAST_CUT))!
  const start = { checkpoint: LAST_CUT, startedAt: ports.clock.now(), previous: undefined }
  const { runs } = await materialisePart(topology, start, part, ports, { exclusive: true })
  const { log, version, item, channelState } = part
  const keyed = keyedNodes(topology.stages[stage]!.stage).map(k => k.operatorId)
  const { attempt, head } = item
  const snapshot: SubtaskSnapshot = {
    stage,
    shard,
    log,
    version,
    attempt,
    head,
    channelState,
    runs,
    folded: version,
    changes: [],
    keyed,
  }
  await ports.blobs.put(stateKey(stage, shard), pack(snapshot))
}
