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

/** Who owns some of these key groups, of `parallelism` subtasks: one, or several in a row, the first of which takes what has no key. */
export function heirsOf({ from, to }: KeyRange, groups: number, parallelism: number): number[] {
  const first = subtaskOf(from, groups, parallelism)
  return Array.from({ length: subtaskOf(to - 1, groups, parallelism) - first + 1 }, (_, i) => first + i)
}
