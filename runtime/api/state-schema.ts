import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'
import { shortHash } from '../graph/operator-ids.ts'
import type { StateFields, StateSchema } from '../state/schema.ts'
import { syncFunction } from './check.ts'
import { PipelineError } from './error.ts'

/** How values of a state change from one version of the code to the next. */
export interface VersionOptions {
  /** Of the values that this code writes; a whole number from 1, which is the default. One more each time that older values have to be changed. */
  version?: number
  /** By version: makes a value of that version one of the next. Each is called once a value, when it is first read. */
  migrate?: Readonly<Record<number, (old: any) => unknown>>
}

/** What a state's declaration says of its versions; undefined: nothing. */
export function stateSchema(
  what: string,
  { version = 1, migrate = {} }: VersionOptions,
  schema?: StandardSchemaV1,
): StateSchema | undefined {
  if (!Number.isSafeInteger(version) || version < 1)
    throw new PipelineError(what, `its version is ${String(version)}`, 'Versions are whole numbers from 1')
  for (const [from, step] of Object.entries(migrate)) {
    syncFunction(step, what, `Write migrate: { ${from}: old => … }`)
    if (!(Number(from) >= 1 && Number(from) < version))
      throw new PipelineError(
        what,
        `it has migrate[${from}] and is of version ${version}`,
        `migrate[${from}] makes values of version ${Number(from) + 1}: set version to that, or higher`,
      )
  }
  if (schema === undefined) return version === 1 ? undefined : { version, migrate }
  const fields = fieldsOf(schema, what)
  const validate = schema['~standard'].validate.bind(schema['~standard'])
  return { version, migrate, fields, mark: shortHash(JSON.stringify(fields)), validate }
}

interface JsonSchema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly default?: unknown
}

/** As its JSON Schema says: which of them has to be there, and of what type it is. */
function fieldsOf(schema: StandardSchemaV1, what: string): StateFields {
  let json: JsonSchema | undefined
  try {
    json = (schema as unknown as Partial<StandardJSONSchemaV1>)['~standard']?.jsonSchema?.output({ target: 'draft-2020-12' })
  } catch {
    json = undefined // it has types that JSON Schema has not
  }
  if (json === undefined)
    throw new PipelineError(
      what,
      'its schema has no JSON Schema, so that its fields are not known',
      'Give it version and migrate instead, or a schema of plain JSON (of zod, say)',
    )
  const fields: Record<string, StateFields[string]> = {}
  collect(fields, '', json, false)
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function collect(fields: Record<string, StateFields[string]>, path: string, json: JsonSchema, optional: boolean): void {
  const { properties, items, required = [] } = json
  const type = properties !== undefined ? 'object' : items?.properties !== undefined ? 'array' : typeText(json)
  fields[path] = { type, ...(optional && { optional }) }
  for (const [name, field] of Object.entries(properties ?? {}))
    collect(fields, path === '' ? name : `${path}.${name}`, field, !required.includes(name) || field.default !== undefined)
  if (items?.properties !== undefined) collect(fields, `${path}[]`, items, false)
}

/** Without what says nothing of the values. */
function typeText(json: JsonSchema): string {
  const { $schema, title, description, examples, default: byDefault, ...rest } = json as Record<string, unknown>
  return Object.keys(rest).length === 1 && typeof rest.type === 'string' ? rest.type : JSON.stringify(rest)
}
