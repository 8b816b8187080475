import type { Clock, Random } from '../ports.ts'
import { waitMsMax } from './call.ts'
import { isPassing } from './classify.ts'
import { eachConcurrently } from './concurrency.ts'
import { RequestRefusedError, ThrottledError } from './errors.ts'

/** What a service said of one entry of a batch that it did not take. */
export interface Refusal {
  readonly index: number
  readonly code: string
  readonly message: string
  /** Default: told by the code. */
  readonly final?: boolean
}

export interface Batches<T> {
  /** For errors: `queue https://…`. */
  readonly resource: string
  readonly operation: string
  readonly entriesMax: number
  readonly bytesMax: number
  readonly bytesOf: (item: T) => number
  /** Those of one key stay in order; undefined: there is no order. */
  readonly keyOf: (item: T) => string | undefined
  /** One call. Gives the entries that were not taken. */
  readonly send: (batch: readonly T[]) => Promise<readonly Refusal[]>
  readonly clock: Clock
  readonly random: Random
}

interface Queue<T> {
  readonly items: T[]
  next: number
}

/** Rounds in a row in which nothing at all was taken. */
const BARREN_MAX = 12

/**
 * Sends all in batches, several at a time. A service may take some of a batch and leave others, and some keep no order in one: so there is at most one item of a key
 * under way, and the next one follows when it has arrived.
 */
export async function sendBatches<T>(items: readonly T[], batches: Batches<T>): Promise<void> {
  const { resource, operation, clock, random } = batches
  let queues = queuesOf(items, batches.keyOf)
  for (let barren = 0; queues.length > 0; ) {
    let taken = 0
    let refused: Refusal | undefined
    await eachConcurrently(batchesOf(queues, batches), async batch => {
      const refusals = await batches.send(batch.map(head))
      for (const r of refusals) {
        if (r.final ?? !isPassing(r.code))
          throw new RequestRefusedError(resource, `${resource} refused an entry of ${operation}: ${r.code}: ${r.message}`)
        refused = r
      }
      const left = new Set(refusals.map(({ index }) => index))
      batch.forEach((queue, i) => {
        if (left.has(i)) return
        queue.next++
        taken++
      })
    })
    queues = queues.filter(({ items, next }) => next < items.length)
    if (refused === undefined) continue
    barren = taken > 0 ? 0 : barren + 1
    if (barren === BARREN_MAX)
      throw new ThrottledError(
        resource,
        `${resource} left all entries of ${operation} undone ${barren} times: give it more capacity, or the pipeline less to do at a time. It said ${refused.code}: ${refused.message}`,
      )
    await clock.sleep(random.fraction() * waitMsMax(barren + 1))
  }
}

function head<T>({ items, next }: Queue<T>): T {
  return items[next]!
}

function queuesOf<T>(items: readonly T[], keyOf: Batches<T>['keyOf']): Queue<T>[] {
  const all: Queue<T>[] = []
  const byKey = new Map<string, Queue<T>>()
  for (const item of items) {
    const key = keyOf(item)
    const known = key === undefined ? undefined : byKey.get(key)
    if (known !== undefined) known.items.push(item)
    else {
      const queue = { items: [item], next: 0 }
      all.push(queue)
      if (key !== undefined) byKey.set(key, queue)
    }
  }
  return all
}

function batchesOf<T>(queues: readonly Queue<T>[], { entriesMax, bytesMax, bytesOf }: Batches<T>): Queue<T>[][] {
  const all: Queue<T>[][] = []
  let bytes = 0
  for (const queue of queues) {
    const own = bytesOf(head(queue))
    const last = all.at(-1)
    if (last === undefined || last.length === entriesMax || bytes + own > bytesMax) {
      all.push([queue])
      bytes = own
    } else {
      last.push(queue)
      bytes += own
    }
  }
  return all
}
