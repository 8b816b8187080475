/** Rows of each sink, as JSON. */
export type Rows<Sink extends string = string> = Readonly<Record<Sink, readonly string[]>>

/** A row that is there more often or less often than it should be. */
export interface Difference {
  readonly sink: string
  readonly row: string
  readonly found: number
  readonly wanted: number
}

/** Of two contents of the same sinks, whose order is not promised. */
export function differences(found: Rows, wanted: Rows): Difference[] {
  return Object.keys(wanted).flatMap(sink => {
    const [have, want] = [counted(found[sink]!), counted(wanted[sink]!)]
    return [...new Set([...want.keys(), ...have.keys()])]
      .map(row => ({ sink, row, found: have.get(row) ?? 0, wanted: want.get(row) ?? 0 }))
      .filter(d => d.found !== d.wanted)
  })
}

function counted(rows: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const row of rows) counts.set(row, (counts.get(row) ?? 0) + 1)
  return counts
}
