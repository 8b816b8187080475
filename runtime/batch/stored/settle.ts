import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sinkCommitContext } from '../../checkpoint/sink-context.ts'
import { atOnce, inWindows } from '../../connectors/at-once.ts'
import { within } from '../../connectors/within.ts'
import type { RangedBlobs } from '../../ports.ts'
import { SpillError } from '../error.ts'
import { type HeldRecord, readHeld } from '../held-sink.ts'
import type { Prepared } from '../job.ts'
import { LAST_CUT } from '../last-cut.ts'
import { type Sent, sendResults } from '../settle-sinks.ts'
import { sinkNodes } from '../task.ts'
import { jsonBytes, readJsonBlob } from './json-blob.ts'
import { attemptsOf, sentOf, stagedOf } from './names.ts'
import { isThrough, partsOf, type StoredPart } from './parts.ts'
import { fetchFile } from './volumes.ts'

const READ_AT_ONCE = 16
const DELETED_AT_ONCE = 16

/** Makes visible what a stage's subtasks have staged, when all of them are through. May be interrupted anywhere, and done again. */
export async function commitStored(prepared: Prepared, stage: number, blobs: RangedBlobs): Promise<void> {
  const topology = prepared.topology()
  const at = topology.stages[stage]!
  const subtasks = Array.from({ length: at.parallelism }, (_, i) => i)
  const read = async (shard: number) => (await allParts(blobs, topology.run, stage, shard)).at(-1)!
  const last = await Array.fromAsync(inWindows(READ_AT_ONCE, subtasks, read))
  const staged = within(blobs, stagedOf(topology.run))
  for (const [index, node] of at.stage.nodes.filter(node => node.sink !== undefined).entries()) {
    const sink = topology.sinkOf(node)
    const parts = last.map(part => part.sinks.find(([i]) => i === index)?.[1])
    await sink.commit?.(topology.run, LAST_CUT, parts, sinkCommitContext(topology, topology.run, at.stage.ids.get(node)!, staged))
  }
}

/** Sends what a subtask has for sinks that nothing can be staged in. False: `isDue` came before the end. */
export async function sendStored(
  prepared: Prepared,
  stage: number,
  shard: number,
  blobs: RangedBlobs,
  isDue: () => boolean,
): Promise<boolean> {
  const topology = prepared.topology()
  const { run } = topology
  const at = topology.stages[stage]!
  const parts = await allParts(blobs, run, stage, shard)
  for (const [number, node] of sinkNodes(prepared.graph.nodes).entries()) {
    if (!at.stage.nodes.includes(node) || topology.sinkOf(node).commit !== undefined) continue
    const key = sentOf(run, number, shard)
    const sentAt = {
      read: () => readJsonBlob<Sent>(blobs, key),
      write: (sent: Sent) => blobs.put(key, jsonBytes(sent)),
    }
    const staged = within(blobs, stagedOf(run))
    if (!(await sendResults(topology, at, node, shard, staged, heldOf(blobs, parts, number), sentAt, isDue))) return false
  }
  return true
}

/** What tasks have left for each other goes. False: `isDue` came before the end. */
export async function forgetStored(run: string, blobs: RangedBlobs, isDue: () => boolean): Promise<boolean> {
  for (const prefix of [attemptsOf(run), stagedOf(run)]) {
    const keys = await blobs.list(prefix)
    await atOnce(DELETED_AT_ONCE, keys, async key => {
      if (!isDue()) await blobs.delete(key)
    })
  }
  return !isDue()
}

async function allParts(blobs: RangedBlobs, run: string, stage: number, shard: number): Promise<StoredPart[]> {
  const parts = await partsOf(blobs, run, stage, shard)
  if (!isThrough(parts)) throw new SpillError(`subtask ${shard} of stage ${stage} of the backfill ${run} is not through, or gone`)
  return parts
}

async function* heldOf(blobs: RangedBlobs, parts: readonly StoredPart[], sink: number): AsyncGenerator<HeldRecord[]> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-held-'))
  try {
    for (const { held } of parts) {
      const file = held[sink]
      if (file === undefined) continue
      const path = join(directory, 'held')
      await fetchFile(blobs, file, path)
      yield* readHeld(path)
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
