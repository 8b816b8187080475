import { createHash } from 'node:crypto'
import type { CommitLog } from '../../ports.ts'
import { BrokenLogError } from '../../protocol/errors.ts'
import { pack, unpack } from '../../state/codec.ts'
import { eachConcurrently } from '../concurrency.ts'
import type { ObjectRef } from '../objects.ts'

export interface ListedObject {
  readonly slot: number
  readonly object: ObjectRef
}

/**
 * The objects of a subtask, in the order in which it reads them: slots 1, 2, 3 …, each written once and never deleted. Notifications come at least once and in any order; here
 * they get one order, for ever.
 *
 * An object may get into several slots, by appenders that race or die. It counts in the one that `seen` names, which is decided once as well: by whoever appended, or, if that one died between
 * the two, by whoever reads the slot first.
 */
export interface ObjectList {
  /** The slots in which these objects count, which they get now if they have none. */
  append(objects: readonly ObjectRef[]): Promise<number[]>
  /** What counts in the slots from <= slot < next, at most `limit` of them. Slot `from` has to be taken. */
  read(from: number, limit: number): Promise<{ readonly listed: readonly ListedObject[]; readonly next: number }>
}

/** Two writings of the same bytes under one key are one object, where the bucket has no versions to tell them apart. */
export function identityOf({ bucket, key, version, etag }: ObjectRef): string {
  return JSON.stringify([bucket, key, version === undefined ? 'etag' : 'version', version ?? etag])
}

export function subtaskOfObject(object: ObjectRef, subtasks: number): number {
  return digest(object).readUInt32BE() % subtasks
}

/** `name`: of the list in the log. What is seen has logs of one slot behind it, by a hash: keys are longer than a name may be. */
export function openObjectList(log: CommitLog, name: string): ObjectList {
  /** The slot behind the last one that is known to be taken. */
  let end = 1
  const seenLog = (object: ObjectRef) => `${name}/seen/${digest(object).toString('base64url')}`
  const isTaken = async (slot: number) => (await log.get(name, slot)) !== undefined

  /** Slots are taken without holes, so it is found in steps that double, and then halve. */
  async function findEnd(): Promise<void> {
    let step = 1
    while (await isTaken(end + step - 1)) {
      end += step
      step *= 2
    }
    for (let [free, taken] = [end + step - 1, end - 1]; ; ) {
      if (free - taken === 1) {
        end = free
        return
      }
      const middle = (free + taken) >> 1
      if (await isTaken(middle)) taken = middle
      else free = middle
    }
  }

  async function put(object: ObjectRef): Promise<number> {
    const item = pack(object)
    for (;;) {
      if (await log.putIfAbsent(name, end, item)) return end++
      await findEnd()
    }
  }

  async function slotOf(object: ObjectRef): Promise<number | undefined> {
    const item = await log.get(seenLog(object), 1)
    return item && unpack<number>(item)
  }

  async function claim(object: ObjectRef, slot: number): Promise<number> {
    if (await log.putIfAbsent(seenLog(object), 1, pack(slot))) return slot
    return (await slotOf(object))!
  }

  return {
    async append(objects) {
      // A batch may announce one several times.
      const distinct = [...new Map(objects.map(object => [identityOf(object), object]))]
      const known = await each(distinct, ([, object]) => slotOf(object))
      const slots = new Map<string, number>()
      // One after the other: so there are no holes.
      for (const [i, [identity, object]] of distinct.entries()) slots.set(identity, known[i] ?? (await put(object)))
      await each(distinct, async ([identity, object], i) => {
        if (known[i] === undefined) slots.set(identity, await claim(object, slots.get(identity)!))
      })
      return objects.map(object => slots.get(identityOf(object))!)
    },
    async read(from, limit) {
      const rows = await log.range(name, from, limit)
      const hole = rows.length === 0 ? 0 : rows.findIndex(({ version }, i) => version !== from + i)
      if (hole !== -1) throw new BrokenLogError(`slot ${from + hole} of ${name} is missing, though it was taken`)
      const all = rows.map(({ version, item }) => ({ slot: version, object: unpack<ObjectRef>(item) }))
      const found = await log.batchGet(all.map(({ object }) => ({ log: seenLog(object), version: 1 })))
      // What is absent is asked again: the read may be stale, and nobody may have claimed it yet.
      const counting = await each(all, async ({ object, slot }, i) => {
        const item = found[i]
        return (item instanceof Uint8Array ? unpack<number>(item) : await claim(object, slot)) === slot
      })
      return { listed: all.filter((_, i) => counting[i]), next: from + rows.length }
    },
  }
}

function digest(object: ObjectRef): Buffer {
  return createHash('sha256').update(identityOf(object)).digest()
}

async function each<T, U>(items: readonly T[], work: (item: T, i: number) => Promise<U>): Promise<U[]> {
  const results: U[] = []
  await eachConcurrently([...items.entries()], async ([i, item]) => {
    results[i] = await work(item, i)
  })
  return results
}
