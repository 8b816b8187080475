import type { RunMeta } from '../../checkpoint/run-meta.ts'
import type { Clock, CommitLog } from '../../ports.ts'
import { pack, unpack } from '../../state/codec.ts'
import { openOwners } from './owners.ts'

/** By so much a stream's list may be behind. */
const LIST_LATE_MS = 10_000

/** Of a source's stream, the newest shard that a run's checkpoint, or a run before it in the same stack, had taken anything of. */
const newestLog = (run: string, source: string) => `${run}/sources/${source}/newest`

export async function readNewest(log: Pick<CommitLog, 'get'>, run: string, source: string): Promise<string | undefined> {
  const item = await log.get(newestLog(run, source), 1)
  return item && unpack<string>(item)
}

export async function tellNewest(log: CommitLog, run: string, source: string, shards: readonly string[]): Promise<void> {
  if (shards.length > 0) await log.putIfAbsent(newestLog(run, source), 1, pack(shards.reduce(later)))
}

/** Shards of which a mapping may have brought something that was taken, by a run that commits nothing any more, or one before it: the newest is among them. */
export async function takenUntil(log: CommitLog, { run, splits }: RunMeta, source: string): Promise<string[]> {
  const known = splits[source] ?? []
  const owners = openOwners(log, run, source, known)
  await owners.follow()
  const before = await readNewest(log, run, source)
  return before === undefined ? owners.known() : [...owners.known(), before]
}

/**
 * A stream's shards, with `newest` and all that are older: a list may be some seconds old, and whoever took it for all there is would never read what a mapping has passed in the others. Numbers rise, and of
 * shards that came of one the newest is always listed, so a list of older ones alone is late. What is asked for
 * when no list can be so late any more is taken as it is: a run before may have read another stream, whose numbers were higher.
 */
export async function listThrough<T extends { readonly id: string }>(
  list: () => Promise<readonly T[]>,
  newest: string | undefined,
  clock: Clock,
): Promise<readonly T[]> {
  const until = clock.now() + LIST_LATE_MS
  for (;;) {
    const isLate = clock.now() >= until
    const listed = await list()
    if (newest === undefined || listed.some(({ id }) => id >= newest) || isLate) return listed
    await clock.sleep(LIST_MS)
  }
}

const LIST_MS = 250

/** Ids of shards have one length. */
const later = (a: string, b: string) => (a > b ? a : b)
