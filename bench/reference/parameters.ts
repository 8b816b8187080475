/** How far out of order the events may be (ms): a parameter of the run, as the data sets differ in it. Default 0. */
export function boundMs(): number {
  return Number(process.env.BOUND_MS ?? 0)
}
