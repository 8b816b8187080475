import type { StateFields } from '../state/schema.ts'
import type { ShapeSchema } from './shape.ts'
import type { StateFate } from './upgrade.ts'

/** What becomes of the values of a state that both plans have. Undefined: nothing is said of it, and it is of version 1. */
export function fateOfSchema(
  found: ShapeSchema | undefined,
  wanted: ShapeSchema | undefined,
): Pick<StateFate, 'fate' | 'reason'> {
  const [was, is] = [found?.version ?? 1, wanted?.version ?? 1]
  if (is < was)
    return {
      fate: 'refused',
      reason: `its values are of version ${was}, and this code knows them up to version ${is}: run the code that wrote them, or newer`,
    }
  if (is > was) {
    const missing = Array.from({ length: is - was }, (_, i) => was + i).find(v => !wanted!.migrates.includes(v))
    if (missing === undefined) return { fate: 'migrated', reason: `from version ${was} to ${is}` }
    return {
      fate: 'refused',
      reason: `its values are of version ${missing} and are to be of version ${missing + 1}: give it migrate: { ${missing}: old => … }`,
    }
  }
  if (wanted?.fields === undefined) return { fate: 'kept' }
  if (found?.fields === undefined)
    return { fate: 'kept', reason: 'its values were written without a schema: each is checked when it is read' }
  return fateOfFields(found.fields, wanted.fields, is)
}

/** Of values of one version: fields may go, and may come where they can be absent; none may mean something else. */
function fateOfFields(was: StateFields, is: StateFields, version: number): Pick<StateFate, 'fate' | 'reason'> {
  const remedy = `set its version to ${version + 1}, with migrate: { ${version}: old => … }`
  const changed = Object.keys(is).find(path => was[path] !== undefined && was[path].type !== is[path]!.type)
  if (changed !== undefined)
    return { fate: 'refused', reason: `${nameOf(changed)} was ${was[changed]!.type} and is ${is[changed]!.type}: ${remedy}` }
  const needed = Object.keys(is).find(path => is[path]!.optional === undefined && was[path]?.optional === true)
  if (needed !== undefined)
    return {
      fate: 'refused',
      reason: `${nameOf(needed)} could be absent and can't be now: make it optional, give it a default, or ${remedy}`,
    }
  const added = Object.keys(is).filter(path => was[path] === undefined && was[parentOf(path)] !== undefined)
  const gone = Object.keys(was).filter(path => is[path] === undefined && is[parentOf(path)] !== undefined)
  const strict = added.find(path => is[path]!.optional === undefined)
  if (strict !== undefined) {
    const instead = gone.length === 0 ? '' : ` in the place of ${gone.join(', ')}`
    return {
      fate: 'refused',
      reason: `${nameOf(strict)} is new${instead}, and has to be there: make it optional, give it a default, or ${remedy}`,
    }
  }
  if (added.length + gone.length === 0) return { fate: 'kept' }
  const told = [
    ...(added.length > 0 ? [`adds ${added.join(', ')}`] : []),
    ...(gone.length > 0 ? [`leaves out ${gone.join(', ')}`] : []),
  ]
  return { fate: 'migrated', reason: told.join(', ') }
}

function nameOf(path: string): string {
  return path === '' ? 'its value' : `the field ${path}`
}

/** Of `a.b`: `a`; of the elements of `a`, `a[]`: `a`. */
function parentOf(path: string): string {
  return path.endsWith('[]') ? path.slice(0, -2) : path.slice(0, Math.max(0, path.lastIndexOf('.')))
}
