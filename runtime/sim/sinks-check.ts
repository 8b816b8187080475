import type { Manifest } from '../checkpoint/manifest.ts'
import type { Topology } from '../stage/topology.ts'
import { type Bucket, keysOf } from './blobs.ts'

/** What of a complete checkpoint is staged still, and not shown, if anything (protocol.md, D7). */
export function stagedFault({ run, subtasks }: Manifest, topology: Topology, bucket: Bucket): string | undefined {
  for (const { stage, shard, log, head } of subtasks) {
    const sinks = topology.stages[stage]!.stage.nodes.filter(node => node.sink !== undefined)
    for (const [operator, { last }] of head.sinks) {
      const marks = keysOf(bucket, `_staging/results/${sinks[operator]!.sink!.name}/run=${run}/${shard}/published/`)
      const shown = Number.parseInt(marks.at(-1)?.split('/').at(-1) ?? '0', 10)
      if (Number.parseInt(String(last || 0), 10) > shown) return `${log} has staged ${last}, and is shown up to ${shown}`
    }
  }
  return undefined
}
