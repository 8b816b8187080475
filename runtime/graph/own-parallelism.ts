import { MillraceError } from '../errors.ts'
import type { OperatorNode } from './graph.ts'

/**
 * Operators with a parallelism of their own: by `.parallelism()` in the pipeline file, or, before that, by `given`, which names them by id.
 * @throws MillraceError for an id that is none, and for sources, which have a subtask for each split
 */
export function ownParallelism(
  ids: ReadonlyMap<OperatorNode, string>,
  given: Readonly<Record<string, number>>,
): ReadonlyMap<OperatorNode, number> {
  const own = new Map<OperatorNode, number>()
  for (const node of ids.keys()) if (node.parallelism !== undefined) own.set(node, node.parallelism)
  for (const [id, parallelism] of Object.entries(given)) {
    const node = [...ids].find(([, known]) => known === id)?.[0]
    if (node === undefined) throw new MillraceError(`there is no operator '${id}': there is ${[...ids.values()].join(', ')}`)
    if (node.source !== undefined)
      throw new MillraceError(`the parallelism of ${id} can't be set: it is a source, with a subtask for each split`)
    if (!Number.isInteger(parallelism) || parallelism < 1)
      throw new MillraceError(`the parallelism of ${id} is ${parallelism}: a whole number above 0 is needed`)
    own.set(node, parallelism)
  }
  return own
}
