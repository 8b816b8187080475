import { unguarded } from '../graph/guarded.ts'
import { type Key, type KeyPart, keyOfId, userKey } from '../graph/key.ts'
import type { Shape } from '../graph/shape.ts'
import { stateOfText } from '../graph/state-text.ts'
import type { Blobs } from '../ports.ts'
import { type SnapshotItem, splitAddress } from '../snapshot/item.ts'
import { mergeRuns } from '../snapshot/runs.ts'
import { fromSortable, isOf, mapPrefix, operatorOf } from '../state/address.ts'
import { unpack } from '../state/codec.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import { listBounds } from '../state/spec.ts'
import { paneStart } from '../windows/window.ts'
import type { SavepointManifest } from './format.ts'

/** Whose an entry of keyed state is. Of a long key only the hash is known. */
export type Owner = { readonly key: Key } | { readonly hash: string } | { readonly broadcast: true; readonly subtask: number }

interface EntryOf {
  /** Sorts as the savepoint does. */
  readonly address: string
  readonly operator: string
  /** Address and value, as they are stored. */
  readonly bytes: number
  /** Epoch ms. */
  readonly expiry?: number
}

/** A value, or an entry of a map or a list. */
export interface StateEntry extends EntryOf {
  readonly kind: 'state'
  readonly state: string
  readonly owner: Owner
  /** Of a pane: when it begins, in ISO 8601. */
  readonly subkey?: KeyPart
  /** As stored: `unpack` gives the value. */
  readonly value: Uint8Array
}

export interface TimerEntry extends EntryOf {
  readonly kind: 'timer'
  readonly domain: 'event' | 'processing'
  /** Epoch ms. */
  readonly at: number
  readonly owner: Owner
}

export type SavepointEntry = StateEntry | TimerEntry

/**
 * All keyed state of a savepoint, over all subtasks, in order of address: by operator, then by key. Memory: a segment of each subtask.
 * @throws SnapshotError a file is missing or damaged
 */
export async function* savepointEntries(
  blobs: Pick<Blobs, 'get'>,
  { shape, subtasks }: Pick<SavepointManifest, 'shape' | 'subtasks'>,
): AsyncGenerator<SavepointEntry> {
  const { stages }: Shape = JSON.parse(shape)
  const operators = new Map(stages.flatMap(s => s.operators.map(o => [o.id, o.states.map(stateOfText)] as const)))
  const runs = subtasks.flatMap(s => s.runs ?? [])
  // Who took over from them has copies of its own.
  const ended = new Set(subtasks.flatMap(s => (s.ended ? stages[s.stage]!.operators.map(o => `${o.id}/${s.shard}`) : [])))
  for await (const item of mergeRuns(blobs, runs)) {
    const entry = item.value === undefined ? undefined : entryOf(item, item.value, operators)
    if (entry === undefined) continue
    const { owner, operator } = entry
    if (!('broadcast' in owner) || !ended.has(`${operator}/${owner.subtask}`)) yield entry
  }
}

function entryOf(
  { address, expiry }: SnapshotItem,
  value: Uint8Array,
  operators: ReadonlyMap<string, readonly StateDeclaration[]>,
): SavepointEntry | undefined {
  const { pk, sk } = splitAddress(address)
  const operator = operatorOf(pk, operators.keys())
  if (operator === undefined) return undefined
  const common = {
    address,
    operator,
    bytes: Buffer.byteLength(address) + value.length,
    ...(Number.isFinite(expiry) && { expiry: expiry! }),
  }
  const rest = pk.slice(operator.length + 1)
  if (rest.startsWith('timers|')) {
    const [at, key] = unpack<[number, KeyPart]>(value)
    return { ...common, kind: 'timer', domain: sk[0] === 'e' ? 'event' : 'processing', at, owner: { key: userKey(key) } }
  }
  const owner = ownerOf(unguarded(rest))
  const states = operators.get(operator)!
  const state = states.find(s => isOf(s, sk))
  // The ends of a list are not the user's.
  if (state === undefined || states.some(s => listBounds(s.name) === state.name)) return undefined
  if (state.primitive === 'value') return { ...common, kind: 'state', state: state.name, owner, value }
  const part = fromSortable(sk.slice(mapPrefix(state).length))
  const subkey = state.panes === undefined ? part : paneStart(state.panes, Number(part))
  return { ...common, kind: 'state', state: state.name, owner, subkey, value }
}

function ownerOf(id: string): Owner {
  if (id[0] === 'b') return { broadcast: true, subtask: Number(id.slice(1)) }
  const key = keyOfId(id)
  return key === undefined ? { hash: id.slice(1) } : { key: userKey(key) }
}

/** For people: `"u42"`, `7`, `["u1",7]`. */
export function ownerText(owner: Owner): string {
  if ('broadcast' in owner) return `broadcast state of subtask ${owner.subtask}`
  return 'hash' in owner ? `a long key (SHA-256 ${owner.hash})` : JSON.stringify(owner.key)
}
