import type { Blobs, CommitLog, Ports } from '../ports.ts'
import type { Head } from '../protocol/log.ts'
import { keyedNodes } from '../stage/keyed-nodes.ts'
import type { Topology } from '../stage/topology.ts'
import { type Part, partsOf } from './cut.ts'
import { type Decision, decide, decisions } from './decision.ts'
import { encodeManifest, manifestKey, readManifest, type SubtaskSnapshot } from './manifest.ts'
import { retain } from './retention.ts'
import { sinkCommitContext } from './sink-context.ts'
import type { MaterialisedPart } from './snapshot.ts'
import type { CheckpointStart } from './start.ts'

/**
 * The controller's steps as plain functions: a state machine calls them on AWS, the embedded engine in the same order in its own process.
 * Each may run twice, late, or not at all. `startCheckpoint` (start.ts) comes first, `materialisePart` (snapshot.ts) between `collectParts` and `completeCheckpoint`.
 */

/**
 * All parts if every subtask is through, else the names of those that are not; `never`: of those that will not be either. `headOf`: how the
 * heads of logs are read, by default anew.
 */
export async function collectParts(
  topology: Topology,
  checkpoint: number,
  ports: Ports,
  headOf?: (log: string) => Promise<Head>,
): Promise<{ parts: Part[]; missing: string[]; never: string[] }> {
  const found = await partsOf(ports.log, topology, checkpoint, headOf)
  const missing = found.filter(f => f.part === undefined)
  return {
    parts: found.flatMap(f => f.part ?? []),
    missing: missing.map(f => f.name),
    never: missing.filter(f => f.never).map(f => f.name),
  }
}

/** Manifest, decision, then what acts on it: the sinks' commit and retention. Gives the decision, which may be somebody else's. */
export async function completeCheckpoint(
  topology: Topology,
  start: CheckpointStart,
  parts: readonly Part[],
  materialised: readonly MaterialisedPart[],
  ports: Ports,
): Promise<Decision> {
  const { checkpoint, startedAt } = start
  const subtasks = parts.map(
    ({ stage, shard, log, version, item, channelState, ended }, i): SubtaskSnapshot => ({
      stage,
      shard,
      log,
      version,
      attempt: item.attempt,
      head: item.head,
      channelState,
      ...(ended && { ended }),
      ...groupsOf(topology, stage, shard),
      runs: materialised[i]!.runs,
      folded: materialised[i]!.folded,
      changes: materialised[i]!.changes,
      ...(materialised[i]!.settled && { settled: true }),
      keyed: keyedNodes(topology.stages[stage]!.stage).map(k => k.operatorId),
    }),
  )
  const manifest = encodeManifest({
    pipeline: topology.pipeline,
    run: topology.run,
    checkpoint,
    createdAt: ports.clock.now(),
    shape: topology.shape,
    splits: topology.splits,
    subtasks,
  })
  await ports.blobs.putIfAbsent(manifestKey(topology.run, checkpoint), manifest)
  const decision = await decide(ports.log, topology.run, checkpoint, {
    outcome: 'complete',
    startedAt,
    decidedAt: ports.clock.now(),
    bytes: materialised.reduce((sum, m) => sum + m.bytes, 0),
  })
  if (decision.outcome === 'complete') {
    await commitSinks(topology, checkpoint, subtasks, ports.blobs)
    const open = parts.filter((_, i) => !materialised[i]!.carried)
    await retain(topology, checkpoint, open, ports)
  }
  return decision
}

/** Where shards were split or merged, a manifest says who has which keys: whoever starts from it knows of no layouts. */
function groupsOf(topology: Topology, stage: number, shard: number): Pick<SubtaskSnapshot, 'groups'> {
  if (topology.layout(stage).length === topology.stages[stage]!.parallelism) return {}
  const { from, to } = topology.shard(stage, shard)
  return { groups: [from, to] }
}

export async function failCheckpoint(
  topology: Topology,
  start: CheckpointStart,
  missing: readonly string[],
  ports: Ports,
  given?: string,
): Promise<Decision> {
  const reason = given ?? `no ack in time from ${missing.join(', ')}`
  return decide(ports.log, topology.run, start.checkpoint, {
    outcome: 'failed',
    startedAt: start.startedAt,
    decidedAt: ports.clock.now(),
    bytes: 0,
    reason,
  })
}

/** D7: what was staged up to n becomes visible, once. Called again after a restart, for the crash between decision and commit. */
async function commitSinks(
  topology: Topology,
  checkpoint: number,
  subtasks: readonly SubtaskSnapshot[],
  blobs: Blobs,
): Promise<void> {
  for (const at of topology.stages) {
    const sinks = at.stage.nodes.filter(node => node.sink !== undefined)
    for (const [index, node] of sinks.entries()) {
      const sink = topology.sinkOf(node)
      if (sink.commit === undefined) continue
      const mine = subtasks.filter(s => s.stage === at.stage.index)
      const stateOf = new Map(mine.map(p => [p.shard, p.head.sinks.find(([i]) => i === index)?.[1]]))
      const states = Array.from({ length: 1 + Math.max(...stateOf.keys()) }, (_, shard) => stateOf.get(shard))
      const context = sinkCommitContext(topology, topology.run, at.stage.ids.get(node)!, blobs)
      await sink.commit(topology.run, checkpoint, states, { ...context, inOrder: mine.some(p => p.ended) })
    }
  }
}

/**
 * After a restart, or when nothing flows any more: the last complete checkpoint's sinks commit again, for the crash between its decision and their commit. By its manifest, as subtasks may have gone on to cuts of
 * a checkpoint that nobody completes.
 */
export async function recommitSinks(topology: Topology, { log, blobs }: Ports): Promise<void> {
  const last = await lastComplete(log, topology.run)
  if (last === undefined || last.decision.restored === true) return
  const { checkpoint } = last
  const manifest = await readManifest(blobs, topology.run, checkpoint).catch(async error => {
    // Retention took it: a later one is complete, and shows what this one would.
    if ((await lastComplete(log, topology.run))!.checkpoint > checkpoint) return undefined
    throw error
  })
  if (manifest !== undefined) await commitSinks(topology, checkpoint, manifest.subtasks, blobs)
}

async function lastComplete(log: CommitLog, run: string) {
  return (await decisions(log, run)).findLast(d => d.decision.outcome === 'complete')
}
