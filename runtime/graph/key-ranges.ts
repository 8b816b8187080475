import { subtaskOf } from './key.ts'

/** Key groups from <= group < to. */
export interface KeyRange {
  readonly from: number
  readonly to: number
}

/** The key groups that one of `parallelism` subtasks owns: those for which `subtaskOf` gives it. */
export function keyRangeOf(subtask: number, groups: number, parallelism: number): KeyRange {
  return { from: Math.ceil((subtask * groups) / parallelism), to: Math.ceil(((subtask + 1) * groups) / parallelism) }
}

/**
 * Who owns a subtask's key groups when there are `to` subtasks in the place of `from`: one, or several in a row, the first of which takes what has no key.
 * Asked the other way round, whose key groups a subtask has got.
 */
export function heirsOf(subtask: number, groups: number, from: number, to: number): number[] {
  const range = keyRangeOf(subtask, groups, from)
  const first = subtaskOf(range.from, groups, to)
  return Array.from({ length: subtaskOf(range.to - 1, groups, to) - first + 1 }, (_, i) => first + i)
}
