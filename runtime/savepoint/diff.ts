import { isDeepStrictEqual } from 'node:util'
import type { SourcePosition } from '../connectors/source.ts'
import type { Shape } from '../graph/shape.ts'
import { shapeDifference } from '../graph/shape-difference.ts'
import type { Blobs } from '../ports.ts'
import { unpack } from '../state/codec.ts'
import { ownerText, type SavepointEntry, savepointEntries } from './entries.ts'
import type { SavepointManifest } from './format.ts'
import { positionsOf } from './inspect.ts'

/** How the entries of one state, or an operator's timers, differ. */
export interface StateDifference {
  readonly operator: string
  /** A state's name; `event timers`, `processing timers`. */
  readonly state: string
  /** Only in the second. */
  added: number
  /** Only in the first. */
  removed: number
  changed: number
  same: number
}

/** One entry that is not in both alike. */
export interface EntryDifference {
  readonly operator: string
  readonly state: string
  /** The key, as JSON, or words for what has none. */
  readonly owner: string
  /** Of a map or a list: which of its entries. */
  readonly subkey?: string | number
  /** Undefined: not there. */
  readonly before?: unknown
  readonly after?: unknown
}

export interface PositionDifference {
  readonly source: string
  readonly split: string
  readonly before: SourcePosition | undefined
  readonly after: SourcePosition | undefined
}

export interface SavepointDifference {
  /** In words; undefined: both are of the same stages, operators, states and parallelism. */
  readonly shape: string | undefined
  readonly positions: readonly PositionDifference[]
  readonly states: readonly StateDifference[]
  /** The first of those that differ. */
  readonly entries: readonly EntryDifference[]
}

/** A savepoint, and where its files are. */
export interface Side {
  readonly blobs: Pick<Blobs, 'get'>
  readonly manifest: SavepointManifest
}

/**
 * How a savepoint differs from another one: both are read once, side by side. `entriesMax`: so many entries are told one by one.
 * @throws SnapshotError a file is missing or damaged
 */
export async function diffSavepoints(before: Side, after: Side, entriesMax: number): Promise<SavepointDifference> {
  const states = new Map<string, StateDifference>()
  const entries: EntryDifference[] = []
  for await (const [a, b] of sideBySide(sorted(before), sorted(after))) {
    const { operator } = (a ?? b)!
    const state = nameOf((a ?? b)!)
    const name = JSON.stringify([operator, state])
    const counts = states.get(name) ?? { operator, state, added: 0, removed: 0, changed: 0, same: 0 }
    states.set(name, counts)
    const how = a === undefined ? 'added' : b === undefined ? 'removed' : areEqual(a, b) ? 'same' : 'changed'
    counts[how]++
    if (how !== 'same' && entries.length < entriesMax) entries.push(difference(a, b))
  }
  const [was, is]: [Shape, Shape] = [JSON.parse(before.manifest.shape), JSON.parse(after.manifest.shape)]
  return {
    shape: before.manifest.shape === after.manifest.shape ? undefined : shapeDifference(was, is),
    positions: positionDifferences(before.manifest, after.manifest),
    states: [...states.values()],
    entries,
  }
}

function sorted({ blobs, manifest }: Side): AsyncIterator<SavepointEntry> {
  return savepointEntries(blobs, manifest)
}

/** Pairs of entries with one address, in order; of one that only one side has, the other is undefined. */
async function* sideBySide(
  as: AsyncIterator<SavepointEntry>,
  bs: AsyncIterator<SavepointEntry>,
): AsyncGenerator<[SavepointEntry | undefined, SavepointEntry | undefined]> {
  let [a, b] = await Promise.all([as.next(), bs.next()])
  while (!a.done || !b.done) {
    const order = a.done ? 1 : b.done ? -1 : compare(a.value.address, b.value.address)
    yield [order <= 0 ? a.value : undefined, order >= 0 ? b.value : undefined]
    if (order <= 0) a = await as.next()
    if (order >= 0) b = await bs.next()
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function nameOf(entry: SavepointEntry): string {
  return entry.kind === 'state' ? entry.state : `${entry.domain} timers`
}

/** Bytes first: they are equal for most. Fields in another order are no difference. */
function areEqual(a: SavepointEntry, b: SavepointEntry): boolean {
  if (a.kind === 'timer' || b.kind === 'timer') return a.kind === b.kind
  if (a.expiry !== b.expiry) return false
  return Buffer.compare(a.value, b.value) === 0 || isDeepStrictEqual(unpack(a.value), unpack(b.value))
}

function difference(a: SavepointEntry | undefined, b: SavepointEntry | undefined): EntryDifference {
  const one = (a ?? b)!
  const subkey = one.kind === 'timer' ? one.at : one.subkey
  return {
    operator: one.operator,
    state: nameOf(one),
    owner: ownerText(one.owner),
    ...(subkey !== undefined && { subkey }),
    ...(a?.kind === 'state' && { before: unpack(a.value) }),
    ...(b?.kind === 'state' && { after: unpack(b.value) }),
    ...(one.kind === 'timer' && (a === undefined ? { after: true } : { before: true })),
  }
}

function positionDifferences(before: SavepointManifest, after: SavepointManifest): PositionDifference[] {
  const name = (source: string, split: string) => JSON.stringify([source, split])
  const was = new Map(positionsOf(before).map(p => [name(p.source, p.split), p]))
  const is = new Map(positionsOf(after).map(p => [name(p.source, p.split), p]))
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter(key => !isDeepStrictEqual(was.get(key)?.position, is.get(key)?.position))
    .map(key => {
      const { source, split } = (was.get(key) ?? is.get(key))!
      return { source, split, before: was.get(key)?.position, after: is.get(key)?.position }
    })
}
