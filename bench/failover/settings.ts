/** One run: events come at their times, and one subtask dies in the middle of them. */
export interface FailoverSettings {
  /** Of the stage with the state. The source has one. */
  readonly subtasks: number
  /** Events a second, over all subtasks. */
  readonly rate: number
  readonly seconds: number
  /** Seconds from the first event. Undefined: nothing dies. */
  readonly killAtSeconds: number | undefined
}

/** Between the starts of two checkpoints, in both. */
export const CHECKPOINT_MS = 1000
/** Whose environment, or task, dies. */
export const VICTIM = 3
export const SUBTASKS_MIN = VICTIM + 1
const USERS = 1000

/** Event `id` as JSON: the same in both. It is due at `startedAt + id / rate`. */
export function eventLine(id: number): string {
  return `{"id":${id},"user":"u${(id * 7919) % USERS}"}`
}

export const dueMs = (id: number, startedAt: number, rate: number) => startedAt + (id * 1000) / rate
export const eventsOf = ({ rate, seconds }: FailoverSettings) => rate * seconds

/** Epoch ms with fractions: the same in all processes of this machine. */
export const now = () => performance.timeOrigin + performance.now()

/** What a run has left, ours or Flink's. All times are epoch ms. */
export interface Trace {
  readonly startedAt: number
  readonly killedAt: number | undefined
  /** By subtask: the event and the time each time that user code has seen one, in that order. */
  readonly seen: readonly (readonly (readonly [id: number, at: number])[])[]
  /** By subtask: when work became final. Ours: a commit. Flink's: the news that a checkpoint is complete. */
  readonly commits: readonly (readonly number[])[]
}
