import type { CommitLog } from '../ports.ts'
import { LostRaceError } from '../protocol/errors.ts'
import type { Layout } from '../stage/layout.ts'
import type { Topology } from '../stage/topology.ts'
import { pack, unpack } from '../state/codec.ts'

/** One slot for each time that shards were split or merged: all stages change together. */
const layoutsLog = (run: string) => `${run}/layouts`
const PAGE = 100

/** The shards of stages, by index, as they are now. */
export type Layouts = readonly (readonly [stage: number, layout: Layout])[]

/** What a run's log says of shards, and the slot that is free in it. */
export interface KnownLayouts {
  readonly layouts: Layouts
  readonly next: number
}

/** Of stages whose shards were ever split or merged. */
export async function readLayouts(log: Pick<CommitLog, 'range'>, run: string): Promise<KnownLayouts> {
  let layouts: Layouts = []
  for (let next = 1; ; ) {
    const page = await log.range(layoutsLog(run), next, PAGE)
    if (page.length > 0) layouts = unpack<Layouts>(page.at(-1)!.item)
    next = (page.at(-1)?.version ?? next - 1) + 1
    if (page.length < PAGE) return { layouts, next }
  }
}

/** The topology's shards as the run's log has them. */
export async function followLayouts(log: Pick<CommitLog, 'range'>, topology: Topology): Promise<KnownLayouts> {
  const known = await readLayouts(log, topology.run)
  for (const [stage, layout] of known.layouts) topology.adopt(stage, layout)
  return known
}

/**
 * What streams themselves say on AWS, this says where they are the run's own. Those of stages that are not named stay. `known`: what `changed` was made of.
 * @throws LostRaceError when others have changed it since
 */
export async function putLayouts(log: CommitLog, run: string, changed: Layouts, { layouts, next }: KnownLayouts): Promise<void> {
  const all = new Map([...layouts, ...changed])
  if (!(await log.putIfAbsent(layoutsLog(run), next, pack([...all]))))
    throw new LostRaceError(`the shards of run ${run} were changed by somebody else`)
}
