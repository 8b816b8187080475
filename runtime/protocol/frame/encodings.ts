/** How the values of a column lie in the body: its first byte. See docs/frame-format.md. */
export const ENCODING = {
  /** One tagged value (a primitive) for all rows. */
  constant: 0,
  /** The values of an earlier column of the group: its number. */
  same: 1,
  /** Integers: minimum, range, then each above the minimum. */
  int: 2,
  /** Integers: minimum, range, first above the minimum, then each as its difference from the one before. */
  delta: 3,
  /** Doubles. */
  float: 4,
  /** Strings: lengths, then UTF-8. */
  utf8: 5,
  /** Strings: lengths, then UTF-16. */
  utf16: 6,
  /** Strings: the distinct ones as a column, then a column of indexes into it. */
  dictionary: 7,
  /** Booleans: a bit each. */
  bool: 8,
  /** A byte for each row that says whether it is special; then a column of those that are not. */
  exceptions: 9,
  /** Tagged values. */
  mixed: 10,
} as const

/** What an exception byte stands for; 0 is a value of the inner column. */
export const EXCEPTIONS: readonly unknown[] = [undefined, null, undefined, Infinity, -Infinity, Number.NaN, -0]
export const EXCEPTION = { none: 0, null: 1, undefined: 2, infinity: 3, negativeInfinity: 4, nan: 5, negativeZero: 6 } as const
