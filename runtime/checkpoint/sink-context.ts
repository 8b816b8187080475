import type { SinkCommitContext } from '../connectors/sink.ts'
import { within } from '../connectors/within.ts'
import type { Blobs } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import { sinkStagingOf } from './blob-names.ts'

/** What a sink is told when its output of `run` is made visible. `blobs`: those of that run. */
export function sinkCommitContext({ pipeline }: Topology, run: string, operatorId: string, blobs: Blobs): SinkCommitContext {
  return { pipeline, operatorId, staging: within(blobs, sinkStagingOf(run, operatorId)) }
}
