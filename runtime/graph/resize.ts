import { MillraceError } from '../errors.ts'
import type { OperatorNode } from './graph.ts'

/**
 * Gives operators another parallelism than the pipeline file does: as `.parallelism()` there, by their ids.
 * @throws MillraceError for an id that is none, and for sources, which have a subtask for each split
 */
export function setParallelism(ids: ReadonlyMap<OperatorNode, string>, parallelismOf: Readonly<Record<string, number>>): void {
  for (const [id, parallelism] of Object.entries(parallelismOf)) {
    const node = [...ids].find(([, known]) => known === id)?.[0]
    if (node === undefined) throw new MillraceError(`there is no operator '${id}': there is ${[...ids.values()].join(', ')}`)
    if (node.source !== undefined)
      throw new MillraceError(`the parallelism of ${id} can't be set: it is a source, with a subtask for each split`)
    if (!Number.isInteger(parallelism) || parallelism < 1)
      throw new MillraceError(`the parallelism of ${id} is ${parallelism}: a whole number above 0 is needed`)
    node.parallelism = parallelism
  }
}
