import type { SourceConnector } from '../../connectors/source.ts'
import { MillraceError } from '../../errors.ts'

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
