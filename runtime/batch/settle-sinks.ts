import { sinkStagingOf } from '../checkpoint/blob-names.ts'
import { sinkCommitContext } from '../checkpoint/sink-context.ts'
import type { SinkState } from '../connectors/sink.ts'
import { within } from '../connectors/within.ts'
import { systemRandom } from '../embedded/clock.ts'
import type { OperatorNode } from '../graph/graph.ts'
import { directoryBlobs } from '../savepoint/directory.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { readHeld } from './held-sink.ts'
import type { Prepared } from './job.ts'
import { readJson, writeJson } from './json-file.ts'
import { LAST_CUT } from './last-cut.ts'
import { sinkNodes, type TaskResult } from './task.ts'

/** Makes the results visible, when all of them are there: what is staged is committed, what was held back is sent. May be interrupted anywhere, and done again. */
export async function settleSinks(prepared: Prepared, results: readonly (readonly (TaskResult | undefined)[])[]): Promise<void> {
  const topology = prepared.topology()
  const blobs = directoryBlobs(prepared.files.blobs)
  const numbers = new Map(sinkNodes(prepared.graph.nodes).map((node, i) => [node, i]))
  for (const at of topology.stages) {
    const sinks = at.stage.nodes.filter(node => node.sink !== undefined)
    for (const [index, node] of sinks.entries()) {
      const sink = topology.sinkOf(node)
      if (sink.commit === undefined) {
        await sendHeld(prepared, topology, at, node, numbers.get(node)!)
        continue
      }
      const parts = results[at.stage.index]!.map(r => r!.sinks.find(([i]) => i === index)?.[1])
      await sink.commit(topology.run, LAST_CUT, parts, sinkCommitContext(topology, topology.run, at.stage.ids.get(node)!, blobs))
    }
  }
}

/** How many commits of a task's results are sent, and what the sink said of the last. */
interface Sent {
  readonly commits: number
  readonly state: SinkState | undefined
}

async function sendHeld(
  { files }: Prepared,
  topology: Topology,
  { stage, parallelism }: StageTopology,
  node: OperatorNode,
  number: number,
): Promise<void> {
  const sink = topology.sinkOf(node)
  const operatorId = stage.ids.get(node)!
  const { run, pipeline } = topology
  const staging = within(directoryBlobs(files.blobs), sinkStagingOf(run, operatorId))
  for (let subtask = 0; subtask < parallelism; subtask++) {
    let sent = readJson<Sent>(files.sent(number, subtask)) ?? { commits: 0, state: undefined }
    const writer = await sink.open({ run, pipeline, operatorId, subtask, parallelism, staging }, sent.state)
    try {
      let version = 0
      for (const records of readHeld(files.held(number, subtask))) {
        if (++version <= sent.commits) continue
        for (const { value, timestamp, key } of records) writer.write(value, { timestamp, key })
        const commit = { run, pipeline, operatorId, subtask, parallelism, version, attempt: systemRandom.id() }
        sent = { commits: version, state: (await writer.flush(commit, undefined)) ?? sent.state }
        writeJson(files.sent(number, subtask), sent)
      }
    } finally {
      await writer.close()
    }
  }
}
