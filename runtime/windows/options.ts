import { MillraceError } from '../errors.ts'
import type { Key } from '../graph/key.ts'
import type { OutputTag } from '../operators/output-tag.ts'
import type { StateDeclaration } from '../state/declaration.ts'
import type { StateSchema } from '../state/schema.ts'
import type { AggregateFunction, ReduceFunction } from './aggregate.ts'
import type { SlidingAssigner, WindowAssigner } from './assigners.ts'
import type { Evictor } from './evictors.ts'
import type { Trigger } from './triggers.ts'
import type { TimeWindow } from './window.ts'

/** What a window function is told beside the result. */
export interface WindowInfo {
  /** As the key function gave it. */
  readonly key: Key
  readonly window: TimeWindow
}

/** Turns the result of `aggregate` or `reduce` into what the operator emits. */
export type WindowFunction<O, R> = (result: O, info: WindowInfo) => R

/** What a full-window function is told, and how it emits. Emitted values carry the timestamp `window.end - 1`. */
export interface ProcessWindowContext<R> extends WindowInfo {
  /** Epoch ms; Infinity once the input has ended. */
  readonly currentWatermark: number
  /** Epoch ms. */
  processingTime(): number
  emit(value: R): void
  /** To a side output. */
  output<X>(tag: OutputTag<X>, value: X): void
}

/** Sees all records of a window at once, in order of arrival (sessions that merged: earliest session first). */
export type ProcessWindowFunction<T, R> = (elements: readonly T[], ctx: ProcessWindowContext<R>) => void

/** Everything about a window operator. Exactly one of `aggregate`, `reduce` and `process`. */
export interface WindowOptions<T = any, A = any, O = any, R = any> {
  /** The operator's name, for errors. */
  readonly name: string
  /** Of the accumulators. */
  readonly schema?: StateSchema | undefined
  readonly assigner: WindowAssigner<T>
  /** Default: the assigner's (end of the window in its time; never for global windows). */
  readonly trigger?: Trigger<T>
  readonly evictor?: Evictor<T>
  /** Ms of event time that a window stays open for late records after it has fired. Default 0. */
  readonly allowedLateness?: number
  /** Side output for records that are in no open window. Default: they are counted and dropped. */
  readonly late?: OutputTag<T>
  readonly aggregate?: AggregateFunction<T, A, O>
  readonly reduce?: ReduceFunction<T>
  /** With `aggregate` or `reduce`: makes the emitted value. Default: the result itself. */
  readonly apply?: WindowFunction<O, R>
  readonly process?: ProcessWindowFunction<T, R>
}

/** `panes` and `sessions` give the results of `general` for less. */
export type WindowPlan = 'panes' | 'sessions' | 'general'

/** Which operator computes these windows. Throws MillraceError if none can. */
export function windowPlan(options: WindowOptions): WindowPlan {
  validateWindow(options)
  const { assigner, aggregate } = options
  if (options.process !== undefined || options.trigger !== undefined || options.evictor !== undefined) return 'general'
  if ((options.allowedLateness ?? 0) > 0) return 'general'
  if (aggregate !== undefined && aggregate.merge === undefined) return 'general'
  if (assigner.kind === 'sliding') return 'panes'
  return assigner.kind === 'session' && assigner.time === 'event' ? 'sessions' : 'general'
}

/** The state that the operator for these windows declares, in the order of its indices. */
export function windowStates(options: WindowOptions): StateDeclaration[] {
  const plan = windowPlan(options)
  const { schema } = options
  if (plan === 'panes') {
    const { size, slide, offset, time } = options.assigner as SlidingAssigner
    return [{ name: 'panes', primitive: 'map', load: 'all', panes: { size, slide, offset, time }, ...(schema && { schema }) }]
  }
  const windows: StateDeclaration = {
    name: 'windows',
    primitive: 'map',
    load: 'all',
    ...(schema && { schema: { ...schema, part: 'acc' } }),
  }
  return keepsElements(options) ? [windows, { name: 'elements', primitive: 'map', load: 'entry' }] : [windows]
}

/** Full-window functions and evictors need the records themselves; else one accumulator a window is enough. */
export function keepsElements(options: WindowOptions): boolean {
  return options.process !== undefined || evictorOf(options) !== undefined
}

export function evictorOf(options: WindowOptions): Evictor<any> | undefined {
  return options.evictor ?? (options.assigner.kind === 'global' ? options.assigner.evictor : undefined)
}

/** Throws MillraceError, naming the operator, for options that no operator can serve. */
export function validateWindow(options: WindowOptions): void {
  const { assigner, trigger } = options
  const refuse = (problem: string): never => {
    throw new MillraceError(`window operator '${options.name}': ${problem}`)
  }
  const functions = [options.aggregate, options.reduce, options.process].filter(f => f !== undefined).length
  if (functions !== 1) refuse(`give exactly one of aggregate, reduce and process (there are ${functions})`)
  if (options.process !== undefined && options.apply !== undefined)
    refuse('a window function goes with aggregate or reduce, not with process')
  const lateness = options.allowedLateness ?? 0
  if (!(Number.isFinite(lateness) && lateness >= 0))
    refuse(`the allowed lateness is ${lateness}: it must be a number of ms, 0 or more`)
  if (assigner.time === 'processing' && lateness > 0)
    refuse('windows in processing time have no late records: leave out the allowed lateness')
  if (assigner.kind !== 'session') return
  if (trigger !== undefined && trigger.onMerge === undefined) refuse('sessions merge, but its trigger has no onMerge: add one')
  if (options.aggregate !== undefined && options.aggregate.merge === undefined && !keepsElements(options)) {
    refuse('sessions merge, but its aggregate has no merge: add merge(a, b)')
  }
}
