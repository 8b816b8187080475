import type { SourceConnector } from '../../connectors/source.ts'
import { MillraceError } from '../../errors.ts'
import type { Topology } from '../../stage/topology.ts'

/** @throws MillraceError for a run whose shards were split or merged: a thread knows those only that it began with */
export function refuseRescaled(topology: Topology): void {
  if (topology.epoch > 0)
    throw new MillraceError(
      `'${topology.pipeline}' was rescaled while it ran, and such a run can't be done in threads: leave threads out, or start a new run`,
    )
}

/** @throws MillraceError for a run that can't be done in threads */
export function refuseThreads(count: number, connectors: ReadonlyMap<string, SourceConnector>): void {
  if (!Number.isInteger(count) || count < 1)
    throw new MillraceError(`a run can't be in ${count} threads: give it a whole number from 1`)
  for (const [name, { files }] of connectors) {
    if (files?.includes('/dev/stdin'))
      throw new MillraceError(
        `the source '${name}' reads standard input, which a thread can't: put the records into a file, or leave threads out`,
      )
  }
}
