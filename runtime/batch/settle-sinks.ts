import { sinkStagingOf } from '../checkpoint/blob-names.ts'
import { sinkCommitContext } from '../checkpoint/sink-context.ts'
import type { SinkState } from '../connectors/sink.ts'
import { within } from '../connectors/within.ts'
import { systemRandom } from '../embedded/clock.ts'
import type { OperatorNode } from '../graph/graph.ts'
import type { Blobs } from '../ports.ts'
import { directoryBlobs } from '../savepoint/directory.ts'
import type { StageTopology, Topology } from '../stage/topology.ts'
import { type HeldRecord, readHeld } from './held-sink.ts'
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
export interface Sent {
  readonly commits: number
  readonly state: SinkState | undefined
}

/** Where that is kept. */
export interface SentAt {
  read(): Promise<Sent | undefined>
  write(sent: Sent): Promise<void>
}

async function sendHeld(
  { files }: Prepared,
  topology: Topology,
  at: StageTopology,
  node: OperatorNode,
  number: number,
): Promise<void> {
  for (let subtask = 0; subtask < at.parallelism; subtask++) {
    const path = files.sent(number, subtask)
    const sentAt: SentAt = { read: async () => readJson<Sent>(path), write: async sent => writeJson(path, sent) }
    await sendResults(topology, at, node, subtask, directoryBlobs(files.blobs), readHeld(files.held(number, subtask)), sentAt)
  }
}

/** Sends what was held back of one subtask, commit by commit, from where it was before. False: it was to stop before the end. */
export async function sendResults(
  topology: Topology,
  { stage, parallelism }: StageTopology,
  node: OperatorNode,
  subtask: number,
  blobs: Blobs,
  commits: Iterable<readonly HeldRecord[]> | AsyncIterable<readonly HeldRecord[]>,
  sentAt: SentAt,
  isDue = () => false,
): Promise<boolean> {
  const sink = topology.sinkOf(node)
  const operatorId = stage.ids.get(node)!
  const { run, pipeline } = topology
  let sent = (await sentAt.read()) ?? { commits: 0, state: undefined }
  const staging = within(blobs, sinkStagingOf(run, operatorId))
  const writer = await sink.open({ run, pipeline, operatorId, subtask, parallelism, staging }, sent.state)
  try {
    let version = 0
    for await (const records of commits) {
      if (++version <= sent.commits) continue
      if (isDue()) return false
      for (const { value, timestamp, key } of records) writer.write(value, { timestamp, key })
      const commit = { run, pipeline, operatorId, subtask, parallelism, version, attempt: systemRandom.id(), checkpoint: 1 }
      sent = { commits: version, state: (await writer.flush(commit, undefined)) ?? sent.state }
      await sentAt.write(sent)
    }
    return true
  } finally {
    await writer.close()
  }
}
