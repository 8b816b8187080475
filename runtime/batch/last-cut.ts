/** The number that the one cut of a bounded run goes by. */
export const LAST_CUT = 1
