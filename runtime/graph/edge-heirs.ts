import type { Shape } from './shape.ts'

/** An edge between two stages, as a shape has it. */
export interface NumberedEdge {
  /** Unique in its plan: frames name edges by it. */
  readonly id: number
  readonly fromStage: number
  readonly toStage: number
  /** `forward`, `key` or `broadcast`. */
  readonly exchange: string
  readonly targets: readonly (readonly [operator: string, input: number])[]
  /** The operator that its records come from. */
  readonly from: string
  /** All that makes two edges carry the same records. */
  readonly carries: string
  /** Undefined: all. */
  readonly fields: readonly string[] | undefined
}

/** By id: the planner numbers them by the stage that they lead to. */
export function edgesOf({ stages }: Pick<Shape, 'stages'>): NumberedEdge[] {
  const inputs = stages.flatMap(({ inputs }, toStage) => inputs.map(input => ({ input, toStage })))
  return inputs.map(({ input, toStage }, id) => {
    const [fromStage, exchange, label, carryKey, fields, fromNode, output, targets] = input
    const carries = JSON.stringify([exchange, label, carryKey, fromNode, output])
    return { id, fromStage, toStage, exchange, targets, from: fromNode, carries, fields: fields ?? undefined }
  })
}

/** Where what was on its way along an edge goes. */
export interface EdgeHeirs {
  /** The edges of the new plan that take it, by id: several where its readers are in several stages now. */
  readonly edges: readonly number[]
  /** Operators that it was to go to, and that none of them leads to. */
  readonly lost: readonly string[]
}

/**
 * Where the records go in `wanted` that were on their way on each edge of `found`, by id. Some have nowhere to go where operators that were in two stages are in one now, or are gone, or read something
 * else. An edge that takes them may lead to operators besides that are new.
 */
export function edgeHeirs(found: Shape, wanted: Shape): ReadonlyMap<number, EdgeHeirs> {
  const now = edgesOf(wanted)
  const known = new Set(found.stages.flatMap(s => s.operators.map(o => o.id)))
  const heirs = new Map<number, EdgeHeirs>()
  for (const former of edgesOf(found)) {
    const { id, targets } = former
    const left = new Set(targets.map(String))
    const mine = now.filter(edge => {
      const takes = edge.targets.filter(t => left.has(String(t)))
      // Whoever else was there has had these records by another way, or never.
      const fits = takes.length > 0 && edge.targets.every(t => takes.includes(t) || !known.has(t[0])) && canTake(edge, former)
      // Of several with the same readers one takes all: they differ in where the same operator is upstream.
      if (fits) for (const t of takes) left.delete(String(t))
      return fits
    })
    const lost = targets.filter(t => left.has(String(t))).map(([operator]) => operator)
    heirs.set(id, { edges: mine.map(edge => edge.id), lost })
  }
  return heirs
}

/** Whether an edge carries the records that another one did: the same output, dealt out the same way, with all the fields that it needs. */
function canTake(edge: NumberedEdge, { carries, fields }: NumberedEdge): boolean {
  return edge.carries === carries && (fields === undefined || (edge.fields?.every(field => fields.includes(field)) ?? false))
}

/**
 * Whether a run of the one shape can start from a checkpoint of the other: the same operators with the same states, and as many key groups; the parallelism may be another one, and so may be what that makes of
 * the cut into stages.
 */
export function canDivide(found: string, wanted: string): boolean {
  if (found === wanted) return true
  const [was, is]: [Shape, Shape] = [JSON.parse(found), JSON.parse(wanted)]
  if (was.keyGroups !== is.keyGroups || operatorsOf(was) !== operatorsOf(is)) return false
  const sources = ({ stages }: Shape) => String(stages.filter(s => s.parallelism === undefined).map(s => s.id))
  return sources(was) === sources(is) && lostEdges(was, is) === 0
}

/** How many edges lead to operators that have no such edge any more. */
export function lostEdges(found: Shape, wanted: Shape): number {
  return [...edgeHeirs(found, wanted).values()].filter(({ lost }) => lost.length > 0).length
}

/** Whether only, or also, the number of subtasks is another one. */
export function isRescale(found: string, wanted: string): boolean {
  return canDivide(found, wanted) && parallelismOf(JSON.parse(found)) !== parallelismOf(JSON.parse(wanted))
}

function parallelismOf({ stages }: Shape): string {
  return JSON.stringify(stages.flatMap(s => s.operators.map(o => [o.id, s.parallelism ?? null])).sort())
}

/** A stateless operator may be in several stages. */
function operatorsOf({ stages }: Shape): string {
  const all = stages.flatMap(s => s.operators.map(o => JSON.stringify(o)))
  return JSON.stringify([...new Set(all)].sort())
}
