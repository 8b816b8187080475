import { fenceRun } from '../../checkpoint/fence.ts'
import { holding } from '../../checkpoint/hold.ts'
import { putLayouts, readLayouts } from '../../checkpoint/layouts.ts'
import { type Manifest, readManifest } from '../../checkpoint/manifest.ts'
import { checkNewInput, withNewInput } from '../../checkpoint/new-input.ts'
import { completeCheckpoints, isInTime, restore, supersede } from '../../checkpoint/restore.ts'
import { openRestored, type RunKind, type RunMeta, readRun } from '../../checkpoint/run-meta.ts'
import { refuseTakenBack } from '../../checkpoint/taken-back.ts'
import { beginningsFrom, checkStart } from '../../checkpoint/upgrade.ts'
import { within } from '../../connectors/within.ts'
import { MillraceError } from '../../errors.ts'
import type { Blobs } from '../../ports.ts'
import { checkedFiles, readSavepoint } from '../../savepoint/format.ts'
import type { Environment } from './environment.ts'
import { firstLayouts } from './learn-layouts.ts'
import { takenUntil, tellNewest } from './newest-shard.ts'
import { inheritOwners } from './owners.ts'
import { checkPositions, ownersIn, standingsOf } from './positions.ts'

/** Asked of the checkpoint function by `millrace start --from-snapshot`, while nothing is delivered. */
export interface RestoreEvent {
  readonly step: 'restore'
  /** A checkpoint of the stack's own run (default: the newest); or the savepoint below a key of its bucket, by its name for people. */
  readonly from: { readonly checkpoint?: number } | { readonly savepoint: string; readonly name: string }
  /** Only the state is taken: the sources read other streams, from their beginning. */
  readonly newInput: boolean
  /** A run that began elsewhere may be ended. */
  readonly replace: boolean
  /** State that no operator takes over may be dropped. */
  readonly allowDrop: boolean
}

export interface RestoredRun {
  readonly run: string
  /** That it began with. */
  readonly checkpoint: number
}

/** The stack's run can't begin with this. */
export class RestoreError extends MillraceError {
  override readonly name = 'RestoreError'
}

const REMEDY = 'deploy the code that it was made by'

/** What a run is to begin with. */
interface Snapshot {
  readonly manifest: Manifest
  readonly blobs: Blobs
  readonly what: string
  /** As it was asked for. */
  readonly checkpoint: number | undefined
  /** Of the run that is there. */
  readonly isOwn: boolean
}

/**
 * A new run in the place of the stack's, from a checkpoint (protocol.md, D8). Whatever can be refused is, before the old run ends. Called again after it has died, it begins
 * another run: one that was not finished counts for nothing.
 *
 * @throws RestoreError, StateMismatchError, SnapshotError, PositionError, PositionExpiredError
 */
export async function restoreRun(environment: Environment, event: RestoreEvent): Promise<RestoredRun> {
  const { ports } = environment
  const old = await readRun(ports)
  const snapshot = await findSnapshot(environment, old, event)
  const { manifest, what, isOwn } = snapshot
  if (!isOwn && old !== undefined && !event.replace)
    throw new RestoreError(
      `this stack has a run already, which did not begin with ${what}: with --replace, that run ends, and its state is given up`,
    )
  const kind = await kindFor(environment, snapshot, event)
  const begin = () =>
    openRestored(ports, kind, snapshot.checkpoint, async run => {
      const begun = old === undefined ? snapshot : await endRun(environment, old, snapshot)
      await startRun(environment, run, kind, begun, event.newInput, old)
      return { run: begun.manifest.run, checkpoint: begun.manifest.checkpoint }
    })
  const heldBegin = () =>
    holding(ports, old!.run, manifest.checkpoint, async () => {
      // The newest one stays, or a newer one is begun with.
      if (snapshot.checkpoint !== undefined) await refuseGoing(ports, manifest)
      return begin()
    })
  const meta = await (isOwn ? heldBegin() : begin())
  return { run: meta.run, checkpoint: meta.origin!.checkpoint }
}

async function findSnapshot({ ports }: Environment, old: RunMeta | undefined, { from }: RestoreEvent): Promise<Snapshot> {
  if ('savepoint' in from) {
    const blobs = within(ports.blobs, from.savepoint)
    const manifest = await readSavepoint(blobs, from.name)
    const files = checkedFiles(blobs, manifest, from.name)
    return { manifest, blobs: files, what: from.name, checkpoint: manifest.checkpoint, isOwn: false }
  }
  if (old === undefined) throw new RestoreError('this stack has no run yet, and so no checkpoint to go back to')
  const complete = await completeCheckpoints(ports, old.run)
  const n = from.checkpoint ?? complete.at(-1)
  if (n === undefined) throw new RestoreError('this stack has no complete checkpoint to go back to')
  if (!complete.includes(n))
    throw new RestoreError(`this stack has no checkpoint ${n} to go back to: it has kept ${complete.join(', ') || 'none'}`)
  await refuseTakenBack(ports.log, old.run, n, 'this stack')
  const manifest = await readManifest(ports.blobs, old.run, n)
  return { manifest, blobs: ports.blobs, what: `checkpoint ${n}`, checkpoint: from.checkpoint, isOwn: true }
}

/** What goes in the middle would leave no run at all. @throws RestoreError */
async function refuseGoing(ports: Environment['ports'], { run, checkpoint }: Manifest): Promise<void> {
  if (await isInTime(ports, run, checkpoint)) return
  throw new RestoreError(
    `checkpoint ${checkpoint} of this stack is one too many, and may be deleted at any moment: start from a newer one, or from a savepoint`,
  )
}

/** What the new run is of; or why the snapshot is not of that. */
async function kindFor(environment: Environment, { manifest, blobs, what }: Snapshot, event: RestoreEvent): Promise<RunKind> {
  const now = await environment.kind()
  // Of a source that reads on, they are what positions belong to.
  const known = Object.entries(manifest.splits).filter(([source]) => now.splits[source] !== undefined)
  const kind = event.newInput ? now : { ...now, splits: { ...now.splits, ...Object.fromEntries(known) } }
  checkStart(manifest, kind, what, REMEDY, event)
  if (event.newInput) checkNewInput(manifest, kind, what)
  const topology = environment.topologyOf(manifest.run, kind)
  const beginnings = await beginningsFrom(manifest, topology, blobs)
  await firstLayouts(environment, topology)
  if (!event.newInput) await checkPositions(environment, standingsOf(beginnings, topology), manifest.createdAt, what)
  return kind
}

/** From here on the old run completes no checkpoint, and commits nothing. One that won that race is newer than what was known. */
async function endRun({ ports }: Environment, old: RunMeta, snapshot: Snapshot): Promise<Snapshot> {
  const { what, isOwn, checkpoint } = snapshot
  await supersede(ports.log, old.run, ports.clock.now(), `the stack started from ${what}`)
  await fenceRun(ports.log, old)
  if (!isOwn || checkpoint !== undefined) return snapshot
  const newest = (await completeCheckpoints(ports, old.run)).at(-1)!
  return { ...snapshot, manifest: await readManifest(ports.blobs, old.run, newest) }
}

async function startRun(
  environment: Environment,
  run: string,
  kind: RunKind,
  { manifest, blobs, isOwn }: Snapshot,
  newInput: boolean,
  old: RunMeta | undefined,
): Promise<void> {
  const { ports } = environment
  const topology = environment.topologyOf(run, kind)
  const kept = await beginningsFrom(manifest, topology, blobs)
  const beginnings = newInput ? withNewInput(kept, topology) : kept
  const standings = standingsOf(beginnings, topology)
  for (const [source, owners] of ownersIn(standings, topology)) await inheritOwners(ports.log, run, source, owners)
  // Of streams that nobody has read nothing is known.
  if (!newInput) {
    for (const source of new Set(standings.map(standing => standing.source))) {
      const stood = standings.flatMap(standing => (standing.source === source ? [...standing.map.keys()] : []))
      const taken = old === undefined ? [] : await takenUntil(ports.log, old, source)
      await tellNewest(ports.log, run, source, [...stood, ...taken])
    }
  }
  // Of another run the sinks are others, and it may still be on.
  await restore(topology, manifest, blobs, ports, { newSinks: !isOwn, beginnings })
  const layouts = await firstLayouts(environment, topology)
  if (layouts.length > 0) await putLayouts(ports.log, run, layouts, await readLayouts(ports.log, run))
}
