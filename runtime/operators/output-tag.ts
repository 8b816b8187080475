/** Names a side output and the type of its records. */
export interface OutputTag<T> {
  /** Its name. */
  readonly id: string
  /** Carries the type only. */
  readonly of?: T
}
