import { catalogueIds, categories, categoryOf } from './catalogue.ts'
import type { ShopEvent } from './events.ts'
import { hash, random } from './seeded.ts'

export interface TrafficOptions {
  users: number
  minutes: number
  /** Events a second, without the bots'. */
  rate: number
  seed: number
  /** Size of the catalogue, `i1` to `iN`. */
  items: number
  bots: number
  /** Epoch ms of the first event. */
  start: number
}

export const defaults: TrafficOptions = {
  users: 1_000,
  minutes: 60,
  rate: 20,
  seed: 1,
  items: 5_000,
  bots: 2,
  start: Date.UTC(2026, 5, 1, 12),
}

const DISORDER_MS = 10_000
const LATE_SHARE = 0.005
const LATE_MS_MAX = 120_000
const DUPLICATE_SHARE = 0.01
/** Of the duplicates, those sent again only after the hour in which they would be dropped. */
const DUPLICATE_OLD_SHARE = 0.1
const HOUR_MS = 3_600_000
const WITHOUT_ID_SHARE = 0.05
const SESSION_EVENTS = 12
const NEW_ITEM_SHARE = 0.03
const HOT_SHARE = 0.08
const HOT_FOR_MS = 10 * 60_000
const BOT_EVENTS_MIN = 150

interface Session {
  user: string
  category: string
  lastItem: string | undefined
}

/** An event, and when it reaches the log. Late and disordered ones reach it after others that happened after them. */
interface Sent {
  event: ShopEvent
  at: number
}

/**
 * A shop's traffic in the order in which it is received: users come for sessions of about a dozen events on one category,
 * look at items by Zipf's law, at what is hot for 10 minutes, and at items new to the catalogue; bots flood.
 * Disorder is up to 10 s, 0.5 % are later than that, 1 % come twice (a tenth of these over an hour later, and count again).
 * The same options give the same events. Memory does not grow with their number.
 */
export function* traffic(options: Partial<TrafficOptions> = {}): Generator<ShopEvent> {
  const all = { ...defaults, ...options }
  const end = all.start + all.minutes * 60_000
  const next = random(hash('delivery', all.seed))
  const waiting = new Outbox()
  for (const event of happened(all, end)) {
    for (const sent of deliveries(event, end, next)) waiting.add(sent)
    yield* waiting.until(event.timestamp)
  }
  yield* waiting.until(Number.POSITIVE_INFINITY)
}

function deliveries(event: ShopEvent, end: number, next: () => number): Sent[] {
  const late = next() < LATE_SHARE
  const delay = late ? DISORDER_MS + next() * LATE_MS_MAX : next() * next() * DISORDER_MS
  const sent = [{ event, at: event.timestamp + delay }]
  if (event.event_id === undefined || next() >= DUPLICATE_SHARE) return sent
  const old = next() < DUPLICATE_OLD_SHARE
  const again = event.timestamp + HOUR_MS + next() * 300_000
  // Sent anew by a client that lost its connection: same id, the time of the second sending.
  if (old && again < end) sent.push({ event: { ...event, timestamp: Math.floor(again) }, at: again + 1 })
  else sent.push({ event, at: sent[0]!.at + next() * DISORDER_MS })
  return sent
}

/** All events in order of their time. */
function* happened(options: TrafficOptions, end: number): Generator<ShopEvent> {
  const ids = idGiver(options.seed)
  const streams = [people(options, end, ids), ...botFloods(options, end, ids)]
  const heads = streams.map(stream => stream.next().value as ShopEvent | undefined)
  for (;;) {
    let first = -1
    heads.forEach((head, i) => {
      if (head && (first < 0 || head.timestamp < heads[first]!.timestamp)) first = i
    })
    if (first < 0) return
    yield heads[first]!
    heads[first] = streams[first]!.next().value as ShopEvent | undefined
  }
}

function* people(options: TrafficOptions, end: number, id: () => string | undefined): Generator<ShopEvent> {
  const next = random(hash('people', options.seed))
  const pickItem = zipf(options.items, next)
  const sessions = Array.from({ length: Math.max(1, Math.ceil(options.users / 8)) }, () => newSession(options, next))
  const gap = 1_000 / options.rate
  for (let time = options.start + next() * gap; time < end; time += 2 * next() * gap) {
    const at = Math.floor(next() * sessions.length)
    if (next() < 1 / SESSION_EVENTS) sessions[at] = newSession(options, next)
    yield eventOf(sessions[at]!, Math.floor(time), { next, pickItem, id, options })
  }
}

interface Making {
  next: () => number
  pickItem: () => string
  id: () => string | undefined
  options: TrafficOptions
}

function eventOf(session: Session, timestamp: number, { next, pickItem, id, options }: Making): ShopEvent {
  const kind = next()
  const event_type = kind < 0.35 ? 'search' : kind < 0.7 ? 'click' : 'view'
  const again = event_type !== 'search' && session.lastItem !== undefined && next() < 0.5
  const item_id = again ? session.lastItem! : chooseItem(session.category, timestamp, next, pickItem, options)
  session.lastItem = item_id
  const query = event_type === 'search' && next() < 0.7 ? { query: session.category } : {}
  const event_id = id()
  return { user_id: session.user, item_id, event_type, timestamp, ...(event_id ? { event_id } : {}), ...query }
}

function chooseItem(
  category: string,
  timestamp: number,
  next: () => number,
  pickItem: () => string,
  options: TrafficOptions,
): string {
  const roll = next()
  if (roll < HOT_SHARE) return `i${1 + (hash(`hot${Math.floor(timestamp / HOT_FOR_MS)}`, options.seed) % options.items)}`
  if (roll < HOT_SHARE + NEW_ITEM_SHARE) return `new-${1 + Math.floor((next() * (timestamp - options.start)) / 60_000)}`
  let item = pickItem()
  for (let tries = 0; tries < 6 && categoryOf(item) !== category; tries++) item = pickItem()
  return item
}

function newSession(options: TrafficOptions, next: () => number): Session {
  const user = `u${1 + Math.floor(next() * options.users)}`
  const favourite = next() < 0.7 ? hash(user) : Math.floor(next() * categories.length)
  return { user, category: categories[favourite % categories.length]!, lastItem: undefined }
}

/** Floods of 150 events and more, 20 to 50 a second, on one item each. */
function botFloods(options: TrafficOptions, end: number, id: () => string | undefined): Generator<ShopEvent>[] {
  return Array.from({ length: options.bots }, (_, bot) => flood(`bot${bot + 1}`, options, end, id))
}

function* flood(user_id: string, options: TrafficOptions, end: number, id: () => string | undefined): Generator<ShopEvent> {
  const next = random(hash(user_id, options.seed))
  const item_id = `i${1 + Math.floor(next() * options.items)}`
  let time = options.start + next() * 0.2 * (end - options.start)
  // Comes back after its hour, for as long as there is traffic.
  for (; time < end; time += 1.02 * HOUR_MS) {
    const events = BOT_EVENTS_MIN + Math.floor(next() * 150)
    for (let i = 0, at = time; i < events && at < end; i++, at += 20 + next() * 30) {
      const event_id = id()
      yield { user_id, item_id, event_type: 'view', timestamp: Math.floor(at), ...(event_id ? { event_id } : {}) }
    }
  }
}

function idGiver(seed: number): () => string | undefined {
  const next = random(hash('ids', seed))
  let count = 0
  return () => {
    count++
    return next() < WITHOUT_ID_SHARE ? undefined : `e${count.toString(36).padStart(6, '0')}`
  }
}

/** Item i1 twice as often as i2, three times as often as i3. */
function zipf(items: number, next: () => number): () => string {
  const ids = catalogueIds(items)
  const cumulative = new Float64Array(items)
  let sum = 0
  for (let i = 0; i < items; i++) cumulative[i] = sum += 1 / (i + 1)
  return () => {
    const target = next() * sum
    let low = 0
    let high = items - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (cumulative[middle]! < target) low = middle + 1
      else high = middle
    }
    return ids[low]!
  }
}

/** Events on their way, by the time of their arrival: a heap, equal times in order of sending. */
class Outbox {
  readonly #heap: (Sent & { sequence: number })[] = []
  #sequence = 0

  add(sent: Sent): void {
    const heap = this.#heap
    heap.push({ ...sent, sequence: this.#sequence++ })
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1
      if (!this.#before(i, parent)) return
      this.#swap(i, parent)
      i = parent
    }
  }

  *until(time: number): Generator<ShopEvent> {
    while (this.#heap.length && this.#heap[0]!.at <= time) yield this.#take()
  }

  #take(): ShopEvent {
    const heap = this.#heap
    const { event } = heap[0]!
    const last = heap.pop()!
    if (heap.length) heap[0] = last
    for (let i = 0; ; ) {
      let least = i
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < heap.length && this.#before(child, least)) least = child
      if (least === i) return event
      this.#swap(i, least)
      i = least
    }
  }

  #before(i: number, j: number): boolean {
    const a = this.#heap[i]!
    const b = this.#heap[j]!
    return a.at < b.at || (a.at === b.at && a.sequence < b.sequence)
  }

  #swap(i: number, j: number): void {
    const heap = this.#heap
    const kept = heap[i]!
    heap[i] = heap[j]!
    heap[j] = kept
  }
}
