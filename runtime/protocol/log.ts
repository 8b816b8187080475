import type { CommitLog } from '../ports.ts'
import { BrokenLogError, FencedLogError } from './errors.ts'
import { type CommitItem, decodeItem, emptyHead, encodeItem, type HeadFields, type SealItem, type SlotItem } from './item.ts'

/** What a subtask knows of its log: the end of the contiguous prefix (protocol.md, A5). */
export interface Head {
  /** The last decided slot; 0 before the first. */
  readonly version: number
  /** Attempt written in that slot, '' before the first. */
  readonly slotAttempt: string
  readonly lastCommit: readonly [version: number, attempt: string]
  readonly fields: HeadFields
  readonly sealed: boolean
}

export const genesis: Head = { version: 0, slotAttempt: '', lastCommit: [0, ''], fields: emptyHead, sealed: false }

const PAGE = 200

/** The floor of a log that takes nothing more: above every version. */
export const FENCED = Number.MAX_SAFE_INTEGER

/** One real commit read from the log, with what is needed to replay it. */
export interface ReadCommit {
  readonly version: number
  readonly item: CommitItem | SealItem
}

/**
 * Follows the log from `base` to the end of its contiguous prefix. Slots have to be consecutive and chained by `prev` (C7). Undefined:
 * the log below has expired, so `base` is too old and has to be thrown away (C2).
 */
export async function follow(
  log: CommitLog,
  name: string,
  base: Head,
): Promise<{ head: Head; commits: ReadCommit[] } | undefined> {
  const commits: ReadCommit[] = []
  let head = base
  for (;;) {
    const slots = await log.range(name, head.version + 1, PAGE)
    for (const { version, item: bytes } of slots) {
      if (version !== head.version + 1) return end(log, name, base, head, commits)
      const item = decodeItem(bytes)
      if (item.prev !== head.slotAttempt) {
        // What lies below the floor may be a zombie's (C1), in front of what is history.
        if ((await end(log, name, base, head, commits)) === undefined) return undefined
        throw new BrokenLogError(
          `slot ${version} of ${name} names ${item.prev || 'nothing'} as its predecessor, the log has ${head.slotAttempt || 'nothing'}`,
        )
      }
      head = step(head, version, item)
      if (item.kind !== 'abort') commits.push({ version, item })
    }
    if (slots.length < PAGE) return end(log, name, base, head, commits)
  }
}

/** C2: after each read of the log, the floor, strongly. A base below it may have missed what expired. */
async function end(log: CommitLog, name: string, base: Head, head: Head, commits: ReadCommit[]) {
  const floor = await log.floor(name)
  return base.version < floor && base.version !== 0 ? undefined : floor > head.version ? undefined : { head, commits }
}

/** The head after one more slot. */
export function step(head: Head, version: number, item: SlotItem): Head {
  const { attempt } = item
  if (item.kind === 'abort') return { ...head, version, slotAttempt: attempt }
  return { version, slotAttempt: attempt, lastCommit: [version, attempt], fields: item.head, sealed: item.kind === 'seal' }
}

/**
 * The head as a cold environment finds it, with the commits whose state changes lie behind the materialised marker. `known`: a commit's version that is part of the log's
 * contiguous prefix for certain: reading may begin there.
 */
export async function loadHead(
  log: CommitLog,
  name: string,
  marker: number,
  known = 0,
): Promise<{ head: Head; commits: ReadCommit[] }> {
  for (let tries = 0; tries < 20; tries++) {
    const floor = Math.max(known, await log.floor(name))
    if (floor === FENCED)
      throw new FencedLogError(
        `${name} takes nothing more: its run has been replaced, or is about to be. If the start that does so was interrupted, give the same command again`,
      )
    const base = floor === 0 ? genesis : await headAt(log, name, floor)
    const read = base === undefined ? undefined : await follow(log, name, base)
    if (read !== undefined && base !== undefined)
      return { head: read.head, commits: read.commits.filter(c => c.version > marker) }
  }
  throw new BrokenLogError(`the floor of ${name} keeps moving while it is read`)
}

/** Heads that a process has read, by log. */
export type KnownHeads = Map<string, Head>

/**
 * The head of a log, read on from where this process knows it: one read and one look at the floor, as a warm subtask does. Loaded anew when what it knows has expired (C2), or when it knows nothing.
 * `known` gets what was read.
 */
export async function headOf(log: CommitLog, name: string, known: KnownHeads): Promise<Head> {
  const base = known.get(name)
  // Nothing comes behind a seal.
  if (base?.sealed) return base
  // Nothing says of the beginning whether what follows it has expired.
  const read = base === undefined || base.version === 0 ? undefined : await follow(log, name, base)
  const { head } = read ?? (await loadHead(log, name, Number.POSITIVE_INFINITY))
  known.set(name, head)
  return head
}

/** A commit: the slot at the floor, which is a cut and always stays, or one above it. */
async function headAt(log: CommitLog, name: string, version: number): Promise<Head | undefined> {
  const bytes = await log.get(name, version)
  if (bytes === undefined) {
    if ((await log.floor(name)) <= version)
      throw new BrokenLogError(`slot ${version} of ${name} is missing, though it is not below the floor`)
    return undefined
  }
  return step(genesis, version, decodeItem(bytes))
}

/**
 * Puts an item into the next slot (A6): an answer that never came is settled by a strong read, an empty slot by the same put again. True: this attempt is in
 * the slot.
 */
export async function putSlot(log: CommitLog, name: string, version: number, item: SlotItem, tries = 5): Promise<boolean> {
  const bytes = encodeItem(item)
  for (let n = 1; ; n++) {
    try {
      if (await log.putIfAbsent(name, version, bytes)) return true
    } catch (error) {
      const found = await log.get(name, version)
      if (found === undefined) {
        if (n >= tries) throw error
        continue
      }
      return decodeItem(found).attempt === item.attempt
    }
    const found = await log.get(name, version)
    return found !== undefined && decodeItem(found).attempt === item.attempt
  }
}
