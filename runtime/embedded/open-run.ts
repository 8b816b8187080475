import { openRun } from '../checkpoint/open-run.ts'
import { completeCheckpoints, supersede } from '../checkpoint/restore.ts'
import { checkSplits, isGoingBack, openRestored, type RunKind, type RunMeta, readRun } from '../checkpoint/run-meta.ts'
import { goesOn } from '../checkpoint/upgrade.ts'
import { isRescale } from '../graph/edge-heirs.ts'
import type { Shape } from '../graph/shape.ts'
import { shapeDifference } from '../graph/shape-difference.ts'
import type { Topology } from '../stage/topology.ts'
import type { EmbeddedPorts } from './ports.ts'
import { restoreRun } from './restore.ts'
import type { RunOptions } from './run-options.ts'
import { findRun } from './shape-now.ts'

/** A run's kind and topology: its plan depends on the shape of what it goes on from. */
export interface RunPlans {
  readonly kindFor: (found: string | undefined) => RunKind
  readonly topologyOf: (run: string, kind: RunKind) => Topology
}

/**
 * The run to work on: a new one, the one that the state directory has, or one that starts from a checkpoint. Where the directory's is of another plan its logs can't be read on, so that a new run takes its place, from its newest
 * checkpoint: what came after that is read again, and was not visible, as sinks commit with checkpoints. `resumed`: it goes on from something.
 */
export async function openOrRestore(
  ports: EmbeddedPorts,
  options: Pick<RunOptions, 'from' | 'allowDrop' | 'onUpgrade' | 'onRescale'>,
  { kindFor, topologyOf }: RunPlans,
): Promise<{ readonly meta: RunMeta; readonly resumed: boolean }> {
  const restored = async (from: NonNullable<RunOptions['from']>) => ({
    meta: await restoreRun(ports, from, kindFor, topologyOf, options),
    resumed: true,
  })
  if (options.from !== undefined) return restored(options.from)
  const { directory } = ports
  const meta = await readRun(ports)
  if (directory === undefined || meta === undefined) return openRun(ports, kindFor(undefined), directory !== undefined)
  const { there, wanted, begun } = await findRun(ports.log, meta, kindFor)
  if (there.pipeline !== wanted.pipeline) return openRun(ports, wanted, true)
  const checkpoint = (await completeCheckpoints(ports, there.run)).at(-1)
  if (begun !== undefined && (await goesOn(ports, meta, begun, options))) {
    if (!(await isGoingBack(ports))) return openRun(ports, begun, true)
    return checkpoint === undefined ? beginAnew(ports, there, begun) : restored({ directory })
  }
  if (!isRescale(there.shape, wanted.shape)) return restored({ directory })
  checkSplits(there, wanted, 'the state directory', 'run what it was made by')
  const [was, is]: [Shape, Shape] = [JSON.parse(there.shape), JSON.parse(wanted.shape)]
  options.onRescale?.({ checkpoint, difference: shapeDifference(was, is) })
  if (checkpoint !== undefined) return restored({ directory })
  return beginAnew(ports, there, wanted)
}

/** A run in the place of one that has no complete checkpoint: nothing of it was ever visible. */
async function beginAnew(ports: EmbeddedPorts, there: Pick<RunMeta, 'run'>, wanted: RunKind) {
  const meta = await openRestored(ports, wanted, undefined, async () => {
    await supersede(ports.log, there.run, ports.clock.now(), 'the pipeline begins anew at another parallelism')
    return undefined
  })
  return { meta, resumed: false }
}
