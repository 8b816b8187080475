import type { LazyMap, StateAccess } from './access.ts'
import { AggregatingHandle } from './aggregating-handle.ts'
import type { KeyedState } from './keyed-state.ts'
import { ListHandle } from './list-handle.ts'
import { MapHandle } from './map-handle.ts'
import { ReducingHandle } from './reducing-handle.ts'
import { type HandlesOf, listBounds, type StateSpec, type StateSpecs } from './spec.ts'
import { ValueHandle } from './value-handle.ts'

/** Reads the map states that are loaded entry by entry off a declaration, in the numbering of `declareStates` from `first`. */
export function lazyMaps(specs: StateSpecs, first = 0): LazyMap[] {
  const lazy: LazyMap[] = []
  let index = first
  for (const spec of Object.values(specs)) {
    if (spec.kind === 'list') lazy.push({ index, bounds: index + 1 })
    if (spec.kind === 'map' && spec.load !== 'all') lazy.push({ index, bounds: undefined })
    index += width(spec)
  }
  return lazy
}

/** The handles of declared states; `first` is the index of the first of their declarations. */
export function bindHandles<S extends StateSpecs>(specs: S, access: StateAccess, first = 0): HandlesOf<S> {
  const handles: Record<string, unknown> = {}
  let index = first
  for (const [name, spec] of Object.entries(specs)) {
    checkDeclared(access.state, index, name, spec)
    handles[name] = bindHandle(spec, access, index)
    index += width(spec)
  }
  return handles as HandlesOf<S>
}

function bindHandle(spec: StateSpec, access: StateAccess, index: number): unknown {
  switch (spec.kind) {
    case 'value':
      return new ValueHandle(access, index)
    case 'list':
      return new ListHandle(access, index)
    case 'map':
      return new MapHandle(access, index)
    case 'reducing':
      return new ReducingHandle(access, index, spec.reduce)
    case 'aggregating':
      return new AggregatingHandle(access, index, spec.aggregate)
  }
}

function width(spec: StateSpec): number {
  return spec.kind === 'list' ? 2 : 1
}

/** Programmer error otherwise: the operator's node declares other states than the operator binds. */
function checkDeclared(state: KeyedState, index: number, name: string, spec: StateSpec): void {
  const list = spec.kind === 'list'
  const primitive = list || spec.kind === 'map' ? 'map' : 'value'
  const declared = state.declarations[index]
  const ok = declared?.name === name && declared.primitive === primitive
  if (ok && (!list || state.declarations[index + 1]?.name === listBounds(name))) return
  throw new Error(`state '${name}' (${spec.kind}) is not what the operator declared at index ${index}`)
}
