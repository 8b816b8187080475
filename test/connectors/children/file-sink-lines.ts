export const SUBTASKS = 2
export const VERSIONS = 400

/** What version `version` of a subtask writes: sometimes nothing, sometimes much. */
export function linesOf(subtask: number, version: number): unknown[] {
  const count = version % 7 === 0 ? 0 : (version * 31) % 50
  return Array.from({ length: count }, (_, i) => ({ subtask, version, i, pad: 'x'.repeat((version * 17 + i) % 200) }))
}
