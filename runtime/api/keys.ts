import type { Edge, KeySpec } from '../graph/graph.ts'
import type { Key, KeyPart } from '../graph/key.ts'
import { sameKey } from '../graph/same-key.ts'
import { describe, syncFunction } from './check.ts'
import { PipelineError } from './error.ts'

/** Each field that always holds a string or a number, as its own name. */
export type KeyFields<T> = { [N in keyof T]-?: T[N] extends KeyPart ? N : never }

/** Names of `T`'s fields that can be a key. */
export type KeyField<T> = KeyFields<T>[keyof T] & string

/** The key that several fields make. */
export type KeyOfFields<T, F extends readonly (keyof T)[]> = { readonly [I in keyof F]: Extract<T[F[I]], KeyPart> }

const REMEDY = "Give it a field ('user_id'), a list of fields (['user_id', 'item_id']) or a function (e => e.user_id)"

/** The declared key of a keyBy. */
export function keySpec(by: unknown): KeySpec {
  if (typeof by === 'function') {
    syncFunction(by, 'keyBy', REMEDY)
    return { label: by.name === '' ? sourceText(String(by)) : by.name, of: by as (value: any) => Key }
  }
  if (typeof by === 'string' && by !== '') return { label: by, fields: [by], of: value => value[by] }
  if (Array.isArray(by) && by.length > 0 && by.every(field => typeof field === 'string' && field !== '')) {
    const fields: readonly string[] = [...by]
    return { label: fields.join(', '), fields, of: value => fields.map(field => value[field]) }
  }
  throw new PipelineError('keyBy', `it was given ${describe(by)}, which declares no key`, REMEDY)
}

/** The key that an operator's output runs under, from its (first) input. */
export function keyOf(edges: readonly Edge[]): KeySpec | undefined {
  const keys: KeySpec[] = []
  for (const { exchange } of edges) {
    if (exchange.kind !== 'key') return undefined
    if (!keys.some(key => sameKey(key, exchange.key))) keys.push(exchange.key)
  }
  return keys.length > 1 ? mixed(keys) : keys[0]
}

/** Records of a union that carry keys declared differently: each goes on under its own. */
function mixed(keys: readonly KeySpec[]): KeySpec {
  const label = keys.map(key => key.label).join(' | ')
  return {
    label,
    of() {
      throw new PipelineError(
        `keyBy(${label})`,
        'a union of differently declared keys was keyed anew',
        'This is a bug in Millrace: please report it',
      )
    },
  }
}

/** The one key of windowAll. */
export const ALL: KeySpec = { label: 'all', of: () => 'all' }

function sourceText(source: string): string {
  const text = source.replace(/\s+/g, ' ')
  return text.length > 40 ? `${text.slice(0, 39)}…` : text
}
