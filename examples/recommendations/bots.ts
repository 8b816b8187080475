/** More events than this of one user within `BOT_SPAN_MS` make a bot. */
export const BOT_EVENTS = 100
export const BOT_SPAN_MS = 10_000
export const BOT_FOR_MS = 3_600_000
/** How far behind the user's newest event the times are remembered: the span, and the disorder that is waited for. */
export const BOT_MEMORY_MS = 20_000

/** What the filter remembers of a user. Small: between two flags no span of 10 s has more than `BOT_EVENTS` times. */
export interface BotState {
  /** Times of let-through events, in order of arrival, none more than `BOT_MEMORY_MS` older than the newest. */
  recent: number[]
  /** The user is a bot at the times `from <= t < until`. */
  from: number
  until: number
}

export const noBot: BotState = { recent: [], from: 0, until: 0 }

/**
 * Judges the user's next event, in order of arrival. An event at a time when the user is a bot is dropped, and not
 * counted. Any other is counted together with the remembered ones in the 10 s up to and including its own time; if they are
 * more than 100, the user is a bot from this event's time on, for an hour, and the event is dropped. What came before stays.
 */
export function judge(state: BotState, timestamp: number): { state: BotState; bot: boolean } {
  if (timestamp >= state.from && timestamp < state.until) return { state, bot: true }
  let newest = timestamp
  let within = 1
  for (const time of state.recent) {
    if (time > newest) newest = time
    if (time <= timestamp && time > timestamp - BOT_SPAN_MS) within++
  }
  if (within > BOT_EVENTS) {
    // Out of order, a flag can fall before the one that stands: they join, and the later end counts.
    const until = timestamp < state.from ? state.until : timestamp + BOT_FOR_MS
    return { state: { recent: state.recent, from: timestamp, until }, bot: true }
  }
  const recent = state.recent.filter(time => time > newest - BOT_MEMORY_MS)
  if (timestamp > newest - BOT_MEMORY_MS) recent.push(timestamp)
  return { state: { ...state, recent }, bot: false }
}
