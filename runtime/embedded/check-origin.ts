import type { Manifest } from '../checkpoint/manifest.ts'
import { checkNewInput } from '../checkpoint/new-input.ts'
import { checkSplits, type RunKind } from '../checkpoint/run-meta.ts'
import { beginningsFrom, checkStart, type UpgradeOptions } from '../checkpoint/upgrade.ts'
import type { Blobs } from '../ports.ts'
import type { Topology } from '../stage/topology.ts'

export const REMEDY = 'run what it was made by'
const NEW_INPUT = `${REMEDY}, or read another input from its beginning (--new-input)`

/** What a run is to start from. */
export interface StartFrom {
  readonly manifest: Manifest
  readonly blobs: Pick<Blobs, 'get'>
  /** For people. */
  readonly what: string
  /** Only the state is taken: the sources read another input. */
  readonly newInput: boolean
}

/**
 * Everything by which a start can be refused, before anything is changed.
 * @throws StateMismatchError, SnapshotError
 */
export async function checkOrigin(
  { manifest, blobs, what, newInput }: StartFrom,
  wanted: RunKind,
  topologyOf: (run: string, kind: RunKind) => Topology,
  upgrading: UpgradeOptions,
): Promise<void> {
  checkStart(manifest, wanted, what, REMEDY, upgrading)
  if (newInput) checkNewInput(manifest, wanted, what)
  else checkSplits(manifest, wanted, what, NEW_INPUT)
  await beginningsFrom(manifest, topologyOf(manifest.run, wanted), blobs)
}
