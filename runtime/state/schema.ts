import type { StandardSchemaV1 } from '@standard-schema/spec'
import { MillraceError } from '../errors.ts'
import type { KeyPart } from '../graph/key.ts'
import { userKey } from '../graph/key.ts'
import { BROADCAST_KEY } from './broadcast.ts'

/** Fields of a value, by their path (`''`: the value itself), with their types as text. */
export type StateFields = Readonly<Record<string, { readonly type: string; readonly optional?: true }>>

/** Of which version the values of a state are, and how older ones become such. */
export interface StateSchema {
  /** From 1. */
  readonly version: number
  /** By version: makes one of the next version of a value. */
  readonly migrate: Readonly<Record<number, (old: any) => unknown>>
  /** What is known of the fields. */
  readonly fields?: StateFields
  /** What `fields` are, in some characters: values that were written with others are checked, and get their defaults. */
  readonly mark?: string
  readonly validate?: StandardSchemaV1['~standard']['validate']
  /** The version is of this field of what is stored, if it is there: the accumulator of a window. */
  readonly part?: string
}

/** A stored value that this code can't make its own of. */
export class StateVersionError extends MillraceError {
  override readonly name = 'StateVersionError'
}

/** What is written beside each value, so that whoever reads it knows what it is. Undefined: nothing, it is of version 1 and of no schema. */
export function tagOf(schema: StateSchema | undefined): string | undefined {
  if (schema === undefined || (schema.version === 1 && schema.mark === undefined)) return undefined
  return schema.mark === undefined ? `${schema.version}` : `${schema.version}.${schema.mark}`
}

/** Whose value it is, for errors. */
export interface ValuePlace {
  readonly operatorId: string
  readonly state: string
  readonly key: KeyPart
}

/**
 * A stored value as this code knows it. It is the same object where nothing had to be done.
 * @throws StateVersionError it is of a version that this code does not know, or can't be made one that it does
 */
export function asOfNow(schema: StateSchema | undefined, tag: string | undefined, stored: unknown, place: ValuePlace): unknown {
  if (tag === tagOf(schema)) return stored
  const part = schema?.part
  if (part === undefined) return migrated(schema, tag, stored, place)
  const whole = stored as Record<string, unknown>
  return whole[part] === undefined ? { ...whole } : { ...whole, [part]: migrated(schema, tag, whole[part], place) }
}

function migrated(schema: StateSchema | undefined, tag: string | undefined, stored: unknown, place: ValuePlace): unknown {
  const { version = 1, migrate = {} } = schema ?? {}
  const [was, mark] = tag === undefined ? ['1'] : tag.split('.')
  let value = stored
  if (Number(was) > version)
    throw refused(
      place,
      `is of version ${was}, and this code knows it up to version ${version}: run the code that wrote it, or newer`,
    )
  for (let v = Number(was); v < version; v++) {
    const step = migrate[v]
    if (step === undefined)
      throw refused(place, `is of version ${v}, and there is no migrate[${v}] that makes it one of version ${v + 1}`)
    value = called(step, v, value, place)
  }
  return schema?.validate !== undefined && mark !== schema.mark ? checked(schema.validate, value, place) : value
}

function called(step: (old: any) => unknown, version: number, value: unknown, place: ValuePlace): unknown {
  let next: unknown
  try {
    next = step(value)
  } catch (cause) {
    throw refused(
      place,
      `is of version ${version}, and migrate[${version}] failed on it: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    )
  }
  if (next === undefined || next instanceof Promise)
    throw refused(
      place,
      `is of version ${version}, and migrate[${version}] gave ${next === undefined ? 'undefined' : 'a promise'}: it gives the value as it is to be`,
    )
  return next
}

function checked(validate: NonNullable<StateSchema['validate']>, value: unknown, place: ValuePlace): unknown {
  const result = validate(value)
  if (result instanceof Promise) throw refused(place, 'has a schema that validates asynchronously: state is read synchronously')
  if (result.issues === undefined) return result.value
  const [issue] = result.issues
  const path = (issue?.path ?? []).map(p => String(typeof p === 'object' ? p.key : p)).join('.')
  throw refused(
    place,
    `is not what its schema says${path === '' ? '' : ` (${path})`}: ${issue?.message ?? 'it was refused'}. Give the state a new version, and a migration`,
  )
}

function refused({ operatorId, state, key }: ValuePlace, problem: string, cause?: unknown): StateVersionError {
  const of = key === BROADCAST_KEY ? 'its broadcast state' : `the key ${JSON.stringify(userKey(key))}`
  return new StateVersionError(
    `operator ${operatorId}: the state '${state}' of ${of} ${problem}`,
    cause === undefined ? undefined : { cause },
  )
}
