import type { Topology } from '../stage/topology.ts'
import type { Beginning } from './beginning.ts'
import type { Manifest } from './manifest.ts'
import { type RunKind, StateMismatchError } from './run-meta.ts'

/**
 * Whether a checkpoint can go on with another input: each split of the new one takes the place of an old one.
 * @throws StateMismatchError
 */
export function checkNewInput(found: Manifest, wanted: RunKind, what: string): void {
  for (const [source, splits] of Object.entries(wanted.splits)) {
    const before = found.splits[source]?.length
    if (before !== undefined && splits.length !== before)
      throw new StateMismatchError(
        `source '${source}' had ${before} ${before === 1 ? 'split' : 'splits'} when ${what} was made, and its new input has ${splits.length}: give as many files as there were splits`,
      )
  }
  if (found.subtasks.some(s => s.head.watermark === Number.POSITIVE_INFINITY))
    throw new StateMismatchError(
      `${what} was made when the input had come to its end and everything had fired, so that whatever came now would be late: start from an earlier one, or run that input again with --keep-open, in a new state directory, and start from there`,
    )
}

/** Its sources at the beginning of what they read now. */
export function withNewInput(beginnings: readonly Beginning[], { stages }: Topology): Beginning[] {
  const isSource = (stage: number) => stages[stage]!.stage.source !== undefined
  return beginnings.map(b => (isSource(b.stage) ? { ...b, head: { ...b.head, source: undefined, sourceDone: false } } : b))
}
