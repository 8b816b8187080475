/** Works on all items, at most `limit` at a time. After a failure no new one is begun, and it is thrown when none is under way any more. */
export async function atOnce<T>(limit: number, items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const failures: unknown[] = []
  let next = 0
  const lane = async () => {
    while (next < items.length && failures.length === 0) {
      try {
        await work(items[next++]!)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  if (failures.length > 0) throw failures[0]
}

/** What `work` makes of each item, in their order: `limit` items at a time, of which all are done before the first is given. */
export async function* inWindows<T, R>(limit: number, items: readonly T[], work: (item: T) => Promise<R>): AsyncGenerator<R> {
  for (let from = 0; from < items.length; from += limit) {
    for (const done of await Promise.allSettled(items.slice(from, from + limit).map(work))) {
      if (done.status === 'rejected') throw done.reason
      yield done.value
    }
  }
}
