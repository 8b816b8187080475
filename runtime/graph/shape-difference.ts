import type { Shape } from './shape.ts'

/** So many differences are told: a changed pipeline may have dozens. */
const TOLD_MAX = 4

/** What a plan has otherwise than the one that wrote the state directory, in words: `the parallelism of stage window-1 was 2 and is 1`. */
export function shapeDifference(found: Shape, wanted: Shape): string {
  const told = [...keyGroups(found, wanted), ...operators(found, wanted), ...stages(found, wanted)]
  if (told.length === 0) return 'its operators are cut into other stages'
  const more = told.length > TOLD_MAX ? [`${told.length - TOLD_MAX} more`] : []
  return [...told.slice(0, TOLD_MAX), ...more].join('; ')
}

function keyGroups(found: Shape, wanted: Shape): string[] {
  return found.keyGroups === wanted.keyGroups ? [] : [`there were ${found.keyGroups} key groups and are ${wanted.keyGroups}`]
}

function operators(found: Shape, wanted: Shape): string[] {
  const before = new Map(found.stages.flatMap(s => s.operators.map(o => [o.id, o])))
  const now = new Map(wanted.stages.flatMap(s => s.operators.map(o => [o.id, o])))
  const gone = [...before.keys()].filter(id => !now.has(id))
  const added = [...now.keys()].filter(id => !before.has(id))
  const told: string[] = []
  if (gone.length > 0) told.push(`${gone.join(', ')} ${gone.length === 1 ? 'is' : 'are'} gone`)
  if (added.length > 0) told.push(`${added.join(', ')} ${added.length === 1 ? 'is' : 'are'} new`)
  for (const [id, { type, states }] of before) {
    const other = now.get(id)
    if (other === undefined) continue
    if (other.type !== type) told.push(`${id} was ${type} and is ${other.type}`)
    else if (`${states}` !== `${other.states}`)
      told.push(`${id} kept ${states.join(', ') || 'no state'} and now keeps ${other.states.join(', ') || 'none'}`)
  }
  return told
}

/** Of the stages that both have. */
function stages(found: Shape, wanted: Shape): string[] {
  const told: string[] = []
  for (const stage of found.stages) {
    const other = wanted.stages.find(s => s.id === stage.id)
    if (other === undefined) continue
    if (stage.parallelism !== other.parallelism)
      told.push(`the parallelism of stage ${stage.id} was ${stage.parallelism} and is ${other.parallelism}`)
    const [was, is] = [keys(stage), keys(other)]
    if (was !== is) told.push(`the key of stage ${stage.id} was ${was} and is ${is}`)
    else if (JSON.stringify(stage.inputs) !== JSON.stringify(other.inputs)) told.push(`stage ${stage.id} has other inputs`)
  }
  return told
}

function keys(stage: Shape['stages'][number]): string {
  return stage.inputs.map(([, , label]) => label || 'none').join(', ')
}
