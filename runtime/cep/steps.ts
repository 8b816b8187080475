/** The events that a partial match has so far, by the name of their step. */
export type Events<T> = { readonly [name: string]: readonly T[] }

/** Whether an event fits; `events` are those that the partial match has already. */
export type Condition<T> = (event: T, events: Events<T>) => boolean

/** What may lie between an event and the one before it: nothing; what doesn't fit; anything. */
export type Contiguity = 'strict' | 'relaxed' | 'any'

/** One step of a pattern: so many events that fit. */
export interface Step<T> {
  readonly name: string
  /** To the step before it. */
  readonly contiguity: Contiguity
  /** Undefined: every event fits. */
  readonly condition: Condition<T> | undefined
  readonly min: number
  /** Infinity: no end. */
  readonly max: number
  /** Between the events of the step. */
  readonly inner: Contiguity
  readonly optional: boolean
  /** What fits here is not for the next step. */
  readonly greedy: boolean
  /** Ends a step that has no end: the event that it is true for, and those behind it, are not for this step. */
  readonly until: Condition<T> | undefined
  /** What may not come before this step. */
  readonly nots: readonly Not<T>[]
}

/** An event that may not come: directly (notNext), or at all until the next step (notFollowedBy). */
export interface Not<T> {
  readonly name: string
  readonly directly: boolean
  readonly condition: Condition<T> | undefined
}

/** A pattern as the matcher runs it. */
export interface Steps<T> {
  readonly steps: readonly Step<T>[]
  /** What may not come behind the last step. */
  readonly trailing: readonly Not<T>[]
  /** Ms from the first event of a match to its last, exclusive. Undefined: as long as it takes. */
  readonly withinMs: number | undefined
}
