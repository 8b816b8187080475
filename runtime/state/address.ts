import { guarded, unguarded } from '../graph/guarded.ts'
import { type KeyPart, keyId } from '../graph/key.ts'
import type { Address } from '../ports.ts'
import { BROADCAST_KEY } from './broadcast.ts'
import type { StateDeclaration } from './declaration.ts'

/** Where the state of one operator lives behind the log. Keys carry their own address, so rescaling moves nothing. */
export interface StateSpace {
  readonly run: string
  readonly operatorId: string
  /** Broadcast state has one copy a subtask, so its address names it. */
  readonly subtask: number
}

type Named = Pick<StateDeclaration, 'name'>

export function entryPk(space: StateSpace, key: KeyPart): string {
  const id = key === BROADCAST_KEY ? `b${space.subtask}` : keyId(key)
  return `${space.run}|${space.operatorId}|${guarded(id)}`
}

/** Whose a partition is, without the run. Ids hold what their authors put into uids; what follows holds no bar before the first of its own. */
export function operatorOf(pk: string, ids: Iterable<string>): string | undefined {
  for (const id of ids) if (pk.startsWith(`${id}|`) && /^(timers\|\d+$|b\d+$|[snh])/s.test(pk.slice(id.length + 1))) return id
  return undefined
}

export function valueAddress(space: StateSpace, key: KeyPart, declaration: Named): Address {
  return { pk: entryPk(space, key), sk: valueSk(declaration) }
}

export function mapAddress(space: StateSpace, key: KeyPart, declaration: Named, subkey: KeyPart): Address {
  return { pk: entryPk(space, key), sk: `${mapPrefix(declaration)}${sortable(subkey)}` }
}

/** Whether an entry is of a state: the address behind its partition tells. */
export function isOf(declaration: Pick<StateDeclaration, 'name' | 'primitive'>, sk: string): boolean {
  return declaration.primitive === 'map' ? sk.startsWith(mapPrefix(declaration)) : sk === valueSk(declaration)
}

export function valueSk(declaration: Named): string {
  return `v|${declaration.name}`
}

export function mapPrefix(declaration: Named): string {
  return `m|${declaration.name}|`
}

/** Timers of one operator and key group, by domain and time. */
export function timersPk(space: StateSpace, group: number): string {
  return `${space.run}|${space.operatorId}|timers|${group}`
}

export function timerSk(domain: 'event' | 'processing', at: number, key: KeyPart, tag: KeyPart): string {
  return `${domain[0]}|${sortable(at)}|${guarded(keyId(tag))}|${guarded(keyId(key))}`
}

const scratch = new DataView(new ArrayBuffer(8))

/** A string whose order is that of `compareParts`: numbers by size, then strings. */
export function sortable(part: KeyPart): string {
  if (typeof part === 'string') return `s${guarded(part)}`
  scratch.setFloat64(0, part)
  const high = scratch.getUint32(0)
  const low = scratch.getUint32(4)
  // IEEE doubles sort like integers once the sign bit is flipped, negative ones once all bits are.
  const negative = high >>> 31 === 1
  return `n${hex(negative ? ~high : high ^ 0x80000000)}${hex(negative ? ~low : low)}`
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}

export function fromSortable(text: string): KeyPart {
  if (text[0] === 's') return unguarded(text.slice(1))
  const high = Number.parseInt(text.slice(1, 9), 16)
  const low = Number.parseInt(text.slice(9, 17), 16)
  const negative = high >>> 31 === 0
  scratch.setUint32(0, negative ? ~high : high ^ 0x80000000)
  scratch.setUint32(4, negative ? ~low : low)
  return scratch.getFloat64(0)
}
