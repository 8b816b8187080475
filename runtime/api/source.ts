import type { StandardSchemaV1 } from '@standard-schema/spec'
import { fileSource } from '../connectors/file-source.ts'
import type { SourceConnector } from '../connectors/source.ts'
import type { OutputTag } from '../operators/output-tag.ts'
import type { WatermarkStrategy } from '../time/strategy.ts'
import type { Duration } from './duration.ts'
import { PipelineError } from './error.ts'
import { Stream } from './stream.ts'

/** Where records come from, and what they look like. Without a connector, `millrace run --source NAME=PATH` has to name a file. */
export interface SourceFormat<T> {
  /** Any Standard Schema validator: zod, valibot, arktype … Its output type is the stream's. */
  readonly schema: StandardSchemaV1<any, T>
  /** What reads it; see `ndjson`, or write your own SourceConnector. */
  readonly connector?: SourceConnector
}

/** How event time comes out of the records. */
export interface SourceOptions<T> {
  /** The time of the event, epoch ms. */
  time: (value: T) => number
  /** How far event time has come: boundedOutOfOrderness('10s'), monotonous(), or your own. */
  watermark: WatermarkStrategy
  /** A split without a record for so long no longer holds the others' watermarks back. Default: it does for ever. */
  idleAfter?: Duration
}

/** A record that could not be decoded, or that the schema refused. */
export interface DeadLetter {
  /** The source's name. */
  readonly source: string
  /** Where in the source it lies, for people: the split and the position in it. */
  readonly position: string
  /** What is wrong with it: no JSON, or what the schema says. */
  readonly reason: string
  /** Its bytes, as it came in. A sink that writes JSON writes them as text, or as `base64:…` if they are not UTF-8. */
  readonly raw: Uint8Array
}

/** The side output of a source for records that are none. */
export const DEAD_LETTERS: OutputTag<DeadLetter> = { id: 'dead-letters' }

/** The stream of a source's valid records. */
export class SourceStream<T> extends Stream<T> {
  /**
   * Records that could not be decoded or that the schema refused, with source, position, reason and raw bytes. Without a reader they are
   * counted only.
   *
   * @example
   * events.deadLetters().sink('rejected', fileSink('rejected.ndjson'))
   */
  deadLetters(): Stream<DeadLetter> {
    return this.sideOutput(DEAD_LETTERS)
  }
}

/**
 * JSON records, one a line, in files (plain or gzip) or on standard input (`-`). Without a path, `millrace run --source NAME=PATH` gives it.
 *
 * @example
 * const Event = z.object({ user_id: z.string(), timestamp: z.number() })
 * app.source('events', ndjson(Event, { path: 'data/events.ndjson' }), { time: e => e.timestamp, watermark: monotonous() })
 */
export function ndjson<T>(
  schema: StandardSchemaV1<any, T>,
  options: { path?: string | readonly string[] } = {},
): SourceFormat<T> {
  checkSchema(schema, 'ndjson')
  const { path } = options
  if (path === undefined) return { schema }
  return { schema, connector: fileSource(typeof path === 'string' ? [path] : path) }
}

export function checkSchema(schema: unknown, operator: string): void {
  if (typeof (schema as StandardSchemaV1 | undefined)?.['~standard']?.validate === 'function') return
  throw new PipelineError(
    operator,
    'it has no schema',
    "Give it a Standard Schema validator, such as zod's z.object({ user_id: z.string() })",
  )
}
