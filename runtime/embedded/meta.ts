import { MillraceError } from '../errors.ts'
import type { Ports } from '../ports.ts'
import { pack, unpack } from '../state/codec.ts'
import { shapeDifference } from './shape-difference.ts'

/** What a state directory belongs to. */
export interface RunMeta {
  readonly run: string
  readonly pipeline: string
  /** The stages, operators and parallelism that the state was written by. */
  readonly shape: string
  /** Splits of each source, by its name: a position belongs to a split. */
  readonly splits: Readonly<Record<string, readonly string[]>>
  readonly createdAt: number
}

/** The state directory was written by another pipeline, plan or input. */
export class StateMismatchError extends MillraceError {
  override readonly name = 'StateMismatchError'
}

/** The run of this directory: made now, or the one to go on with, if it fits. */
export async function openRun(
  ports: Ports,
  wanted: Omit<RunMeta, 'run' | 'createdAt'>,
): Promise<{ meta: RunMeta; resumed: boolean }> {
  const fresh: RunMeta = { ...wanted, run: ports.random.id(), createdAt: ports.clock.now() }
  if (await ports.log.putIfAbsent('meta', 1, pack(fresh))) return { meta: fresh, resumed: false }
  const meta = (await readRun(ports))!
  check(meta, wanted)
  return { meta, resumed: true }
}

export async function readRun(ports: Ports): Promise<RunMeta | undefined> {
  const bytes = await ports.log.get('meta', 1)
  return bytes === undefined ? undefined : unpack<RunMeta>(bytes)
}

function check(found: RunMeta, wanted: Omit<RunMeta, 'run' | 'createdAt'>): void {
  const remedy = 'start with an empty state directory, or run what it was made by'
  if (found.pipeline !== wanted.pipeline) {
    throw new StateMismatchError(
      `the state directory belongs to pipeline '${found.pipeline}', not '${wanted.pipeline}': ${remedy}`,
    )
  }
  if (found.shape !== wanted.shape) {
    const difference = shapeDifference(JSON.parse(found.shape), JSON.parse(wanted.shape))
    throw new StateMismatchError(
      `the state directory was written by another plan of '${wanted.pipeline}' (${difference}): ${remedy}`,
    )
  }
  if (JSON.stringify(found.splits) !== JSON.stringify(wanted.splits)) {
    const names = Object.keys({ ...found.splits, ...wanted.splits })
    const name = names.find(n => JSON.stringify(found.splits[n]) !== JSON.stringify(wanted.splits[n]))!
    const list = (splits: readonly string[] | undefined) => (splits ?? []).join(', ') || 'nothing'
    throw new StateMismatchError(
      `source '${name}' read ${list(found.splits[name])} when the state directory was made, and should now read ${list(wanted.splits[name])}: ${remedy}`,
    )
  }
}
