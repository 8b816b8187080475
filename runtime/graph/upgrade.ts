import { listBounds } from '../state/spec.ts'
import { fateOfSchema } from './schema-change.ts'
import type { Shape, ShapeOperator } from './shape.ts'
import { stateOfText } from './state-text.ts'

/**
 * What becomes of one part of the state when another plan takes it over. `kept`: it is found by operator and name. `migrated`: so it is, and its values are changed as they are read. `empty`: it is new.
 * `dropped`: nothing in the new plan is of that name. `refused`: the plans have something of that name, and what the one has written means something else to the other.
 */
export type Fate = 'kept' | 'migrated' | 'empty' | 'dropped' | 'refused'

/** The fate of one part of the state of one operator. */
export interface StateFate {
  readonly operator: string
  /** A state's name; `position` of a source, `timers` of an operator that keeps nothing else. */
  readonly state: string
  readonly fate: Fate
  /** Why it is refused, or what there is to know. */
  readonly reason?: string
}

/** What a plan does with the state of another. */
export interface Upgrade {
  /** In the order of the new plan's operators, those that are gone last. */
  readonly fates: readonly StateFate[]
  /** Its logs can be read on as they are: nothing that frames and commits number is elsewhere. Else it takes a new run, which starts from a checkpoint. */
  readonly sameLayout: boolean
}

/** Whether, and how, `wanted` can go on with the state that `found` has written. */
export function planUpgrade(found: Shape, wanted: Shape): Upgrade {
  const sameLayout = layoutOf(found) === layoutOf(wanted)
  const before = statefulOperators(found)
  const now = statefulOperators(wanted)
  const fates: StateFate[] = []
  for (const [id, operator] of now) {
    const former = before.get(id)
    if (former === undefined) fates.push(...partsOf(operator).map(state => ({ operator: id, state, fate: 'empty' as const })))
    else fates.push(...fatesOf(former, operator, keyGroupsChanged(found, wanted)))
  }
  for (const [id, operator] of before)
    if (!now.has(id)) fates.push(...partsOf(operator).map(state => ({ operator: id, state, fate: 'dropped' as const })))
  return { fates, sameLayout }
}

/** All but the versions of values, which tell themselves what they are. */
function layoutOf(shape: Shape): string {
  return JSON.stringify(shape, (name, value) => (name === 'schemas' ? undefined : value))
}

/** By id. Sinks keep nothing that people know of, and stateless operators nothing at all. */
function statefulOperators({ stages }: Shape): Map<string, ShapeOperator> {
  const all = stages.flatMap(s => s.operators)
  return new Map(all.filter(o => partsOf(o).length > 0).map(o => [o.id, o]))
}

/** What there is to be kept of an operator. */
function partsOf({ type, states, key }: ShapeOperator): string[] {
  if (type === 'source') return ['position']
  const names = states.map(text => stateOfText(text).name)
  // The ends of a list go with it.
  const known = names.filter(name => !names.some(other => listBounds(other) === name))
  return known.length > 0 || key === undefined ? known : ['timers']
}

function fatesOf(former: ShapeOperator, operator: ShapeOperator, groups: string | undefined): StateFate[] {
  const { id } = operator
  const reason = groups ?? operatorChanged(former, operator)
  if (reason !== undefined)
    return [...new Set([...partsOf(former), ...partsOf(operator)])].map(state => ({
      operator: id,
      state,
      fate: 'refused',
      reason,
    }))
  const textOf = (of: ShapeOperator, name: string) => of.states.find(text => stateOfText(text).name === name)
  const kept = partsOf(operator).map((state): StateFate => {
    const [was, is] = [textOf(former, state), textOf(operator, state)]
    if (is === undefined || was === is)
      return { operator: id, state, ...fateOfSchema(former.schemas?.[state], operator.schemas?.[state]) }
    if (was === undefined) return { operator: id, state, fate: 'empty' }
    return {
      operator: id,
      state,
      fate: 'refused',
      reason: `it was ${kindOf(was)} and is ${kindOf(is)}: give the state another name, or the operator another uid, and it starts empty`,
    }
  })
  const gone = partsOf(former).filter(name => textOf(former, name) !== undefined && textOf(operator, name) === undefined)
  return [...kept, ...gone.map((state): StateFate => ({ operator: id, state, fate: 'dropped' }))]
}

/** A declaration without its name. */
function kindOf(text: string): string {
  return text.slice(stateOfText(text).name.length + 1).replace(':processing', ' that ages by processing time')
}

function keyGroupsChanged(found: Shape, wanted: Shape): string | undefined {
  if (found.keyGroups === wanted.keyGroups) return undefined
  return `there were ${found.keyGroups} key groups and are ${wanted.keyGroups}: set keyGroups to ${found.keyGroups}, which is for the life of the state`
}

/** Undefined: its state means what it meant. */
function operatorChanged(former: ShapeOperator, operator: ShapeOperator): string | undefined {
  const remedy = 'give it another uid, and it starts empty'
  if (former.type !== operator.type) return `the operator was ${former.type} and is ${operator.type}: ${remedy}`
  if (former.key !== undefined && operator.key !== undefined && former.key !== operator.key)
    return `it was kept by ${former.key} and the operator is now keyed by ${operator.key}: ${remedy} (or, where it gives the same keys, write the key as it was)`
  return undefined
}
