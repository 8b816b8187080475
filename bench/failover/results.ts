/** A row of the sink. */
export interface Result {
  readonly id: number
  readonly user: string
  readonly count: number
}

/** Each event has one result, and those of a user count up from 1. @throws Error that says what is wrong */
export function checkResults(results: readonly Result[], events: number): void {
  const ids = new Set(results.map(({ id }) => id))
  if (ids.size !== events || results.length !== events)
    throw new Error(`${results.length} results of ${ids.size} events, not one for each of ${events}`)
  const counts = new Map<string, number>()
  for (const { id, user, count } of [...results].sort((a, b) => a.id - b.id)) {
    const expected = (counts.get(user) ?? 0) + 1
    if (count !== expected) throw new Error(`the result of event ${id} says ${count} for ${user}, not ${expected}`)
    counts.set(user, count)
  }
}
