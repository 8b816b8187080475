import type { Blobs, Clock, Random } from '../ports.ts'

/** A hold that nobody has taken away counts for so long: who was copying has died, and retention has to go on. */
const HELD_MS = 24 * 3_600_000

/** Holds on checkpoints of a run: an empty blob each, whose name says from which on, and since when. */
function holdsOf(run: string): string {
  return `holds/${run}/`
}

/**
 * Keeps retention from all checkpoints from `from` on while `work` is under way. `from` is the newest complete one, or none: a retention that has not seen the hold is of a
 * checkpoint that was complete or under way before, and deletes neither that one nor the two before it. Of an older one, ask `isInTime` first thing.
 */
export async function holding<T>(
  ports: { readonly blobs: Pick<Blobs, 'put' | 'delete'>; readonly clock: Clock; readonly random: Random },
  run: string,
  from: number,
  work: () => Promise<T>,
): Promise<T> {
  const name = `${holdsOf(run)}${from}-${ports.clock.now()}-${ports.random.id()}`
  await ports.blobs.put(name, new Uint8Array())
  try {
    return await work()
  } finally {
    await ports.blobs.delete(name)
  }
}

/** The oldest checkpoint that somebody holds, with all that are newer; Infinity: none. Holds of those who have died are taken away. */
export async function oldestHeld(blobs: Pick<Blobs, 'list' | 'delete'>, run: string, now: number): Promise<number> {
  const prefix = holdsOf(run)
  let oldest = Number.POSITIVE_INFINITY
  for (const name of await blobs.list(prefix)) {
    const [from, since] = name.slice(prefix.length).split('-').map(Number) as [number, number]
    if (now - since > HELD_MS) await blobs.delete(name)
    else oldest = Math.min(oldest, from)
  }
  return oldest
}
