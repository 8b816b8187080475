import type { KeyEntry } from '../state/entry.ts'
import type { KeyedState } from '../state/keyed-state.ts'
import type { TriggerContext } from '../windows/triggers.ts'
import type { KeyedOperator } from './keyed-operator.ts'

/** Index of the state that holds a WindowState by window id. */
export const WINDOWS = 0
/** Index of the state that holds buffered records. */
export const ELEMENTS = 1

/**
 * Buffered records of a window: map entries `<id>/<from>` up to `<id>/<to - 1>`. A window has one run; a session has one of each session that
 * merged into it, so that merging moves no records. Ids are the starts of windows that the session covers, so no two windows share one.
 */
export interface Run {
  readonly id: number
  from: number
  to: number
}

/** What is kept of one open window. Its id, the map's subkey, is the start it had when it was opened (sessions grow, ids stay). */
export interface WindowState {
  start: number
  end: number
  /** The accumulator, undefined: no elements. */
  acc: any
  runs: Run[] | undefined
  /** The trigger's state. */
  trigger: Record<string, any> | undefined
  /** Greatest timestamp of the records since the last purge; kept for the global window only, as the timestamp of its results. */
  last: number | undefined
}

export function newWindowState(start: number, end: number): WindowState {
  return { start, end, acc: undefined, runs: undefined, trigger: undefined, last: undefined }
}

/** The trigger's view of one window; one instance is bound to each window in turn. */
export class BoundTriggerContext implements TriggerContext {
  private readonly operator: KeyedOperator
  private entry!: KeyEntry
  private id = 0
  private window!: WindowState
  private before: readonly Record<string, any>[] = []

  constructor(operator: KeyedOperator) {
    this.operator = operator
  }

  bind(entry: KeyEntry, id: number, window: WindowState, before: readonly Record<string, any>[] = []): this {
    this.entry = entry
    this.id = id
    this.window = window
    this.before = before
    return this
  }

  get currentWatermark(): number {
    return this.operator.currentWatermark
  }

  processingTime(): number {
    return this.operator.ctx.now()
  }

  registerEventTime(at: number): void {
    this.operator.eventTimers.set(at, this.entry.key, this.id)
  }

  registerProcessingTime(at: number): void {
    this.operator.processingTimers.set(at, this.entry.key, this.id)
  }

  deleteEventTime(at: number): void {
    this.operator.eventTimers.delete(at, this.entry.key, this.id)
  }

  deleteProcessingTime(at: number): void {
    this.operator.processingTimers.delete(at, this.entry.key, this.id)
  }

  get(name: string): any {
    return this.window.trigger?.[name]
  }

  set(name: string, value: unknown): void {
    if (value !== undefined) {
      this.window.trigger ??= {}
      this.window.trigger[name] = value
    } else if (this.window.trigger !== undefined) {
      delete this.window.trigger[name]
    }
  }

  merged(name: string): any[] {
    return this.before.map(state => state[name]).filter(value => value !== undefined)
  }
}

/** The records of a window, each a map entry of its own: adding one neither loads nor rewrites the others. */
export const elementBuffer = {
  append(state: KeyedState, entry: KeyEntry, id: number, window: WindowState, element: unknown): void {
    window.runs ??= []
    let run = window.runs.at(-1)
    if (run === undefined) {
      run = { id, from: 0, to: 0 }
      window.runs.push(run)
    }
    state.mapSet(entry, ELEMENTS, `${run.id}/${run.to++}`, element, 0)
  },

  /** The elements that are not in memory. */
  missing(state: KeyedState, entry: KeyEntry, window: WindowState): string[] {
    if (window.runs === undefined || state.slot(entry, ELEMENTS).complete) return []
    return subkeys(window.runs).filter(subkey => !state.knows(entry, ELEMENTS, subkey))
  },

  /** In order; only when none is `missing`. */
  read(state: KeyedState, entry: KeyEntry, window: WindowState): any[] {
    return subkeys(window.runs ?? []).map(subkey => state.mapGet(entry, ELEMENTS, subkey, 0))
  },

  clear(state: KeyedState, entry: KeyEntry, window: WindowState): void {
    for (const subkey of subkeys(window.runs ?? [])) state.mapDelete(entry, ELEMENTS, subkey)
    window.runs = undefined
  },

  /** Leaves `kept` of `elements`, which is what `read` gave. */
  keep(
    state: KeyedState,
    entry: KeyEntry,
    id: number,
    window: WindowState,
    elements: readonly any[],
    kept: readonly any[],
  ): void {
    const gone = elements.length - kept.length
    if (kept.every((element, i) => element === elements[i + gone])) {
      dropFirst(state, entry, window, gone)
      return
    }
    elementBuffer.clear(state, entry, window)
    for (const element of kept) elementBuffer.append(state, entry, id, window, element)
  },
}

function subkeys(runs: readonly Run[]): string[] {
  const list: string[] = []
  for (const run of runs) for (let i = run.from; i < run.to; i++) list.push(`${run.id}/${i}`)
  return list
}

/** What evictors mostly do: the oldest go, the others stay where they are. */
function dropFirst(state: KeyedState, entry: KeyEntry, window: WindowState, count: number): void {
  const runs = window.runs ?? []
  for (let left = count; left > 0; left--) {
    const run = runs[0]!
    state.mapDelete(entry, ELEMENTS, `${run.id}/${run.from++}`)
    if (run.from === run.to) runs.shift()
  }
  if (runs.length === 0) window.runs = undefined
}
