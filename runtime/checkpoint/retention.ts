import { atOnce } from '../connectors/at-once.ts'
import type { Ports } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import { readBase } from './base.ts'
import { channelsOf, chunksOf, segmentsOf } from './blob-names.ts'
import type { Part } from './cut.ts'
import { decisionOf, trimDecisions } from './decision.ts'
import { oldestHeld } from './hold.ts'
import { listManifests, manifestKey, readManifest } from './manifest.ts'
import { readMarker } from './marker.ts'

/** Complete checkpoints that stay, beside those that somebody holds. */
export const KEPT = 3
const PAGE = 200
const DELETES_AT_ONCE = 32
const PARTS_AT_ONCE = 4
/** Parts of a subtask's prefix: the kind, and those of its log, which are its run, its stage and its shard. */
const LOG_DEPTH = 4

/**
 * What complete checkpoint n makes dispensable (protocol.md, E5 and C): the log below its cuts as far as it is materialised, older manifests, and blobs
 * that nothing names any more, those of failed checkpoints and lost attempts among them. The floor is raised first; every barrier frame of
 * this checkpoint has been accepted on every channel, or it would not be complete (C3).
 */
export async function retain(topology: Topology, checkpoint: number, parts: readonly Part[], ports: Ports): Promise<void> {
  const { named, oldest } = await retainManifests(topology, checkpoint, ports)
  await trimDecisions(ports.log, topology.run, checkpoint, oldest)
  const byPrefix = await storedOf(topology.run, ports)
  await atOnce(PARTS_AT_ONCE, parts, async part => {
    const floor = await expireLog(part, ports)
    const stored = (prefix: string): Stored => ({ prefix, all: byPrefix.get(prefix) ?? [], named })
    // What is not named by then never will be: the next checkpoint's blobs carry a higher number.
    await sweepSegments(topology, checkpoint, part, ports, stored(segmentsOf(part.log)))
    await sweep(ports, stored(channelsOf(part.log)), n => n <= checkpoint)
    // Below the floor every slot is decided (C5), and what won is in the base.
    await sweep(ports, stored(chunksOf(part.log)), version => version < floor)
  })
}

/** What is stored behind a prefix of a subtask, and what of all stays as something names it. */
interface Stored {
  readonly prefix: string
  readonly all: readonly string[]
  readonly named: ReadonlySet<string>
}

/** All blobs of the run, by the prefix of their subtask: S3 charges a listing like a put, so that there is one for a thousand blobs, and not three for each subtask. */
async function storedOf(run: string, { blobs }: Ports): Promise<ReadonlyMap<string, string[]>> {
  const kinds = await Promise.all([segmentsOf, channelsOf, chunksOf].map(of => blobs.list(of(run))))
  return Map.groupBy(kinds.flat(), blob => `${blob.split('/', LOG_DEPTH).join('/')}/`)
}

/**
 * Deletes all manifests up to n but the newest complete ones, and those that are held. Gives the blobs that those name, and newer manifests: this may run late, when later checkpoints
 * have gone on with segments of this one.
 */
async function retainManifests(
  topology: Topology,
  checkpoint: number,
  ports: Ports,
): Promise<{ named: ReadonlySet<string>; oldest: number }> {
  const named = new Set<string>()
  let oldest = checkpoint
  let kept = 0
  const held = await oldestHeld(ports.blobs, topology.run, ports.clock.now())
  for (const n of (await listManifests(ports.blobs, topology.run)).reverse()) {
    if (n <= checkpoint) {
      const stays = (kept < KEPT || n >= held) && (await decisionOf(ports.log, topology.run, n))?.outcome === 'complete'
      if (!stays) {
        await ports.blobs.delete(manifestKey(topology.run, n))
        continue
      }
      kept++
      oldest = n
    }
    for (const s of (await readManifest(ports.blobs, topology.run, n)).subtasks) {
      for (const blob of s.channelState) named.add(blob)
      for (const { blob } of [...(s.runs?.flat() ?? []), ...(s.changes ?? [])]) named.add(blob)
    }
  }
  return { named, oldest }
}

/**
 * With the backend `segments` a marker names blobs too, and a fold that hangs may move it yet to blobs of its own, with nothing but its number to tell them by. But the marker only rises: of folds
 * up to the newest that has brought it to its cut none can move it any more. What later ones take over from it is named by it.
 */
async function sweepSegments(topology: Topology, checkpoint: number, { log }: Part, ports: Ports, stored: Stored): Promise<void> {
  if (topology.stateBackend.kind === 'table') return sweep(ports, stored, n => n <= checkpoint)
  const base = await readBase(ports.store, log)
  const ofBase = new Set(base.runs.flat().map(({ blob }) => blob))
  const named = stored.named.union(ofBase)
  await sweep(ports, { ...stored, named }, n => n <= Math.min(checkpoint, base.checkpoint))
}

/** Deletes blobs that nothing names and whose number, right behind the prefix, is one that may go. */
async function sweep(ports: Ports, { prefix, all, named }: Stored, mayGo: (n: number) => boolean): Promise<void> {
  const dispensable = all.filter(blob => mayGo(Number.parseInt(blob.slice(prefix.length), 10)) && !named.has(blob))
  await atOnce(DELETES_AT_ONCE, dispensable, blob => ports.blobs.delete(blob))
}

async function expireLog(part: Part, ports: Ports): Promise<number> {
  const floor = Math.min(part.version, await readMarker(ports.store, part.log))
  const before = await ports.log.floor(part.log)
  if (floor <= before) return before
  await ports.log.raiseFloor(part.log, floor)
  // From the very first: an earlier one may have died between raising the floor and this.
  for (let from = 1; from < floor; ) {
    const slots = await ports.log.range(part.log, from, Math.min(PAGE, floor - from))
    const below = slots.filter(s => s.version < floor)
    if (below.length === 0) break
    const to = below.at(-1)!.version + 1
    await ports.log.expire(part.log, from, to)
    from = to
  }
  return floor
}
