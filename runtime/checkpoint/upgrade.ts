import { isRescale } from '../graph/edge-heirs.ts'
import type { Shape } from '../graph/shape.ts'
import { planUpgrade, type StateFate, type Upgrade } from '../graph/upgrade.ts'
import type { Blobs, Ports } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'
import { type Beginning, sameBeginnings } from './beginning.ts'
import { dividedBeginnings } from './divide/beginnings.ts'
import { formerOf } from './divide/former.ts'
import type { Manifest } from './manifest.ts'
import {
  adoptShape,
  checkBackend,
  checkPipeline,
  checkSplits,
  type RunKind,
  type RunMeta,
  StateMismatchError,
} from './run-meta.ts'

/** So many are told in an error: a changed pipeline may have dozens. */
const TOLD_MAX = 4

/** What another plan of the same pipeline does with the state. `found`: what has written it. */
export function upgradeOf(found: Pick<RunKind, 'shape'>, wanted: Pick<RunKind, 'shape'>): Upgrade {
  return planUpgrade(JSON.parse(found.shape) as Shape, JSON.parse(wanted.shape) as Shape)
}

/** What a start from other state allows, and who is told what becomes of that. */
export interface UpgradeOptions {
  /** What nothing in the new plan takes over may go. Default: it is refused. */
  readonly allowDrop?: boolean
  readonly onUpgrade?: (upgrade: Upgrade) => void
}

/**
 * Whether a run of another plan can start from what was written, of the same pipeline.
 * @throws StateMismatchError
 */
export function checkStart(
  found: Pick<RunKind, 'pipeline' | 'shape'>,
  wanted: Pick<RunKind, 'pipeline' | 'shape'>,
  what: string,
  remedy: string,
  { allowDrop = false, onUpgrade }: UpgradeOptions,
): void {
  checkPipeline(found, wanted, what, remedy)
  if (found.shape === wanted.shape) return
  const upgrade = upgradeOf(found, wanted)
  checkUpgrade(upgrade, wanted.pipeline, what, allowDrop)
  // Of the same operators all is kept.
  if (!isRescale(found.shape, wanted.shape)) onUpgrade?.(upgrade)
}

/**
 * Whether the run that is there can go on with this plan in its own logs: it is its own, or another one of the same layout, whose state is taken over then. False: it takes a new run.
 * @throws StateMismatchError
 */
export async function goesOn(
  ports: Pick<Ports, 'log'>,
  there: RunMeta,
  wanted: RunKind,
  options: UpgradeOptions,
): Promise<boolean> {
  if (there.pipeline !== wanted.pipeline || there.shape === wanted.shape) return true
  if (!upgradeOf(there, wanted).sameLayout) return false
  checkBackend(there, wanted, 'the state directory')
  checkSplits(there, wanted, 'the state directory', 'run what it was made by')
  checkStart(there, wanted, 'the state directory', 'run what it was made by', options)
  await adoptShape(ports, there.run, wanted.shape, 'this state directory')
  return true
}

/**
 * Whether each operator's state has to be dealt out anew (checkpoint/divide): among other numbers of subtasks, in other stages, or as subtasks have taken over from others while the run went on.
 */
export function isDivided(manifest: Manifest, topology: Topology): boolean {
  return manifest.subtasks.some(s => s.ended) || !upgradeOf(manifest, topology).sameLayout
}

/** How each subtask of a run begins with a checkpoint of the same or another plan. @throws StateMismatchError, SnapshotError it can't */
export async function beginningsFrom(manifest: Manifest, topology: Topology, from: Pick<Blobs, 'get'>): Promise<Beginning[]> {
  if (isDivided(manifest, topology)) return dividedBeginnings(formerOf(manifest, topology), from)
  return sameBeginnings(manifest, topology)
}

/**
 * Whether the state goes over to another plan: nothing that is kept is refused, and nothing is dropped unless that is wanted.
 * @throws StateMismatchError naming operators and states
 */
export function checkUpgrade({ fates }: Upgrade, pipeline: string, what: string, allowDrop: boolean): void {
  const told = (fate: StateFate['fate'], text: (f: StateFate) => string) => {
    const all = fates.filter(f => f.fate === fate).map(text)
    const more = all.length > TOLD_MAX ? [`${all.length - TOLD_MAX} more`] : []
    return [...all.slice(0, TOLD_MAX), ...more].join('; ')
  }
  const refused = told('refused', f => `${f.state} of ${f.operator}: ${f.reason}`)
  if (refused !== '') throw new StateMismatchError(`${what} does not fit '${pipeline}' as it is now: ${refused}`)
  const dropped = told('dropped', f => `${f.state} of ${f.operator}`)
  if (dropped !== '' && !allowDrop)
    throw new StateMismatchError(
      `${what} has state that nothing in '${pipeline}' takes over any more: ${dropped}. Keep the operators' uids, or allow that it is dropped (--allow-drop)`,
    )
}
