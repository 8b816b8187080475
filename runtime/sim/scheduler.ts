/** Something that happens at a moment of virtual time, unless it is called off before. */
export interface Event {
  readonly at: number
  /** Among events of one moment the lowest comes first. */
  readonly order: number
  run: (() => void) | undefined
}

/** Virtual time, and what waits for it. Nothing happens but by an event, and one event's consequences are through before the next one. */
export interface Scheduler {
  /** Epoch ms. */
  readonly now: number
  /** Events so far. */
  readonly steps: number
  /** `delay`: ms. */
  after(delay: number, run: () => void): Event
  cancel(event: Event): void
  sleep(delay: number): Promise<void>
  /** Lets time pass until `done`, or until nothing is left to happen. */
  run(done: () => boolean): Promise<void>
}

/** `tie`: in [0, 1), which of the events of one moment comes first. */
export function openScheduler(start: number, tie: () => number): Scheduler {
  const heap: Event[] = []
  let now = start
  let steps = 0

  function after(delay: number, run: () => void): Event {
    const event: Event = { at: now + Math.max(0, delay), order: tie(), run }
    push(heap, event)
    return event
  }

  return {
    get now() {
      return now
    },
    get steps() {
      return steps
    },
    after,
    cancel(event) {
      event.run = undefined
    },
    sleep: delay => new Promise(resolve => void after(delay, resolve)),
    async run(done) {
      // Whatever was begun before has to have got to its first call.
      await settled()
      while (!done()) {
        const event = pop(heap)
        if (event === undefined) return
        if (event.run === undefined) continue
        now = event.at
        steps++
        event.run()
        await settled()
        if (steps % TURN_STEPS === 0) await turned()
      }
    },
  }
}

/** All promises that can go on have gone on: Node runs them before it comes to this. */
function settled(): Promise<void> {
  return new Promise(resolve => process.nextTick(resolve))
}

/** So many events take some milliseconds. */
const TURN_STEPS = 500

/** Whatever else the process has to do, the timer of a test for instance, has its turn. */
function turned(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

function push(heap: Event[], event: Event): void {
  let i = heap.push(event) - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!before(event, heap[parent]!)) break
    heap[i] = heap[parent]!
    i = parent
  }
  heap[i] = event
}

function pop(heap: Event[]): Event | undefined {
  const top = heap[0]
  const last = heap.pop()
  if (top === undefined || heap.length === 0) return top
  let i = 0
  for (;;) {
    let child = 2 * i + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
    if (!before(heap[child]!, last!)) break
    heap[i] = heap[child]!
    i = child
  }
  heap[i] = last!
  return top
}
