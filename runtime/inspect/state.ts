import type { RunMeta } from '../checkpoint/run-meta.ts'
import { MillraceError } from '../errors.ts'
import { canonicalKey, type Key, type KeyPart } from '../graph/key.ts'
import type { Shape } from '../graph/shape.ts'
import { entryPk, fromSortable } from '../state/address.ts'
import { unpack } from '../state/codec.ts'
import type { Readable } from './checkpoints.ts'

const PAGE = 1000

export interface StateQuery {
  /** Operator id, as `millrace plan` prints it, or a uid. */
  readonly operator: string
  readonly key: Key
  /** Name of one state; undefined: all. */
  readonly state?: string
}

/**
 * The state of one key, as of the last completed checkpoint. Map states come as a list of [subkey, value].
 * @throws MillraceError for an operator or state that the run does not have
 */
export async function stateOf(ports: Readable, meta: RunMeta, query: StateQuery): Promise<{ state: string; value: unknown }[]> {
  const states = statesOf(meta, query)
  const space = { run: meta.run, operatorId: query.operator, subtask: 0 }
  const pk = entryPk(space, canonicalKey(query.key, 'state get'))
  const found: { state: string; value: unknown }[] = []
  for (const { name, primitive } of states) {
    if (primitive === 'value') {
      const [item] = await ports.store.batchGet([{ pk, sk: `v|${name}` }])
      if (item?.value !== undefined) found.push({ state: name, value: unpack(item.value) })
    } else {
      const entries = await mapEntries(ports, pk, name)
      if (entries.length > 0) found.push({ state: name, value: entries })
    }
  }
  return found
}

async function mapEntries({ store }: Readable, pk: string, name: string): Promise<[KeyPart, unknown][]> {
  const entries: [KeyPart, unknown][] = []
  const prefix = `m|${name}|`
  for (let from = prefix; ; ) {
    const items = await store.range(pk, from, `${prefix}~`, PAGE)
    for (const { sk, value } of items)
      if (value !== undefined) entries.push([fromSortable(sk.slice(prefix.length)), unpack(value)])
    if (items.length < PAGE) return entries
    from = `${items.at(-1)!.sk}\u0000`
  }
}

function statesOf(meta: RunMeta, query: StateQuery): { name: string; primitive: string }[] {
  const shape: Shape = JSON.parse(meta.shape)
  const operators = shape.stages.flatMap(s => s.operators).filter(o => o.states.length > 0)
  const operator = operators.find(o => o.id === query.operator)
  if (operator === undefined)
    throw new MillraceError(
      `there is no operator '${query.operator}' with state; there is ${operators.map(o => o.id).join(', ') || 'none'}`,
    )
  const states = operator.states.map(s => ({ name: s.slice(0, s.lastIndexOf(':')), primitive: s.slice(s.lastIndexOf(':') + 1) }))
  const chosen = query.state === undefined ? states : states.filter(s => s.name === query.state)
  if (chosen.length === 0)
    throw new MillraceError(
      `operator '${query.operator}' has no state '${query.state}'; it has ${states.map(s => s.name).join(', ')}`,
    )
  return chosen
}
