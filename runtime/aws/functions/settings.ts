import { MillraceError } from '../../errors.ts'
import type { PlanOptions } from '../../graph/planner.ts'
import { STATE_BACKENDS, type StateBackendName } from '../../state/backend.ts'

/** What the stack tells its functions, by their environment variables. */
export interface Settings {
  /** Of the stage streams' names (names.ts). */
  readonly prefix: string
  readonly tables: { readonly log: string; readonly state: string }
  readonly bucket: string
  /** As the plan was made with. */
  readonly options: PlanOptions
  readonly sources: Readonly<Record<string, SourceSetting>>
  readonly sinks: Readonly<Record<string, SinkSetting>>
  /** Of functions that belong to one stage: its id. */
  readonly stage: string | undefined
  /** The longest time-out of the functions that send, ms: no frame is undecided for longer but one whose function died. Default: this function's own. */
  readonly timeoutMs: number | undefined
  /** The least memory of the stages' functions, MB. */
  readonly memoryMb?: number
  /** What functions count goes to CloudWatch. Default false. */
  readonly metrics?: boolean
  /** Where keyed state lies behind the log. Default: the pipeline's own, else `table`. */
  readonly stateBackend?: StateBackendName
}

/** Where a source's own JSON records come from. */
export type SourceSetting = KinesisSetting | KafkaSetting | ChangesSetting | ObjectsSetting

export interface KinesisSetting {
  readonly kind: 'kinesis'
  readonly stream: string
}

export interface KafkaSetting {
  readonly kind: 'kafka'
  readonly topic: string
  /** As many as the topic has: they are the splits of a run, so a client of Kafka is not needed to ask. */
  readonly partitions: number
}

/** NDJSON objects that become visible with the checkpoint. */
export interface SinkSetting {
  readonly kind: 's3'
  readonly bucket: string
  readonly prefix: string
}

/** The changes of a DynamoDB table, by its stream. */
export interface ChangesSetting {
  readonly kind: 'dynamodb'
  /** The stream's shards come and go: these share them. */
  readonly subtasks: number
}

/** Objects of S3, which a queue announces. */
export interface ObjectsSetting {
  readonly kind: 's3'
  /** Each has a part of the objects, by a hash. */
  readonly subtasks: number
}

const SOURCE_KINDS: readonly SourceSetting['kind'][] = ['kinesis', 'kafka', 'dynamodb', 's3']

/** @throws SettingsError */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const sources = json<Settings['sources']>(env, 'MILLRACE_SOURCES')
  const sinks = json<Settings['sinks']>(env, 'MILLRACE_SINKS')
  checkKinds(sources, SOURCE_KINDS, 'MILLRACE_SOURCES')
  checkKinds(sinks, ['s3'], 'MILLRACE_SINKS')
  const timeout = env.MILLRACE_TIMEOUT_MS
  const memory = env.MILLRACE_MEMORY_MB
  return {
    prefix: needed(env, 'MILLRACE_PREFIX'),
    tables: { log: needed(env, 'MILLRACE_LOG_TABLE'), state: needed(env, 'MILLRACE_STATE_TABLE') },
    bucket: needed(env, 'MILLRACE_BUCKET'),
    options: json(env, 'MILLRACE_OPTIONS'),
    sources,
    sinks,
    stage: env.MILLRACE_STAGE,
    timeoutMs: timeout === undefined ? undefined : Number(timeout),
    memoryMb: memory === undefined ? undefined : Number(memory),
    metrics: env.MILLRACE_METRICS === 'on',
    stateBackend: stateBackend(env.MILLRACE_STATE_BACKEND),
  }
}

/** The function was deployed by something else than this version's stack. */
export class SettingsError extends MillraceError {
  override readonly name = 'SettingsError'
}

function needed(env: Readonly<Record<string, string | undefined>>, name: string): string {
  const value = env[name]
  if (value === undefined || value === '')
    throw new SettingsError(`the environment variable ${name} is missing: deploy the stack again`)
  return value
}

function stateBackend(name: string | undefined): StateBackendName | undefined {
  const known = STATE_BACKENDS.find(backend => backend === name)
  if (name === undefined || name === '' || known !== undefined) return known
  throw new SettingsError(
    `the environment variable MILLRACE_STATE_BACKEND is '${name}', and these functions know ${STATE_BACKENDS.join(', ')} only`,
  )
}

function json<T extends object>(env: Readonly<Record<string, string | undefined>>, name: string): T {
  const text = env[name]
  if (text === undefined || text === '') return {} as T
  try {
    return JSON.parse(text) as T
  } catch (error) {
    throw new SettingsError(`the environment variable ${name} is no JSON: deploy the stack again`, { cause: error })
  }
}

function checkKinds(settings: Readonly<Record<string, { readonly kind: string }>>, kinds: readonly string[], name: string): void {
  for (const [key, { kind }] of Object.entries(settings))
    if (!kinds.includes(kind))
      throw new SettingsError(`${name} gives '${key}' the kind '${kind}', and these functions know ${kinds.join(', ')} only`)
}
