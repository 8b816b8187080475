import { type Fold, foldOf } from './aggregate.ts'
import { type WindowOptions, windowPlan } from './options.ts'
import { alignDown, paneWidth } from './window.ts'

/** How the records of a window operator can be added up, by key and pane, before they travel to it: what comes out is the same. */
export interface Combiner {
  readonly fold: Fold
  /** When the pane begins that a time lies in, epoch ms: what was added up of it travels with this time. */
  paneOf(timestamp: number): number
}

/** Undefined: each record has to travel. */
export function combinerOf(options: WindowOptions): Combiner | undefined {
  const { aggregate, assigner } = options
  if (aggregate?.exact !== true || windowPlan(options) !== 'panes') return undefined
  if (assigner.kind !== 'sliding' || assigner.time !== 'event') return undefined
  const { size, slide, offset } = assigner
  const width = paneWidth(size, slide)
  return { fold: foldOf(options)!, paneOf: timestamp => alignDown(timestamp, width, offset) }
}

/** Accumulators travel beside the records of an edge, under a number of their own. */
export function partialsOf(edge: number): number {
  return edge + PARTIALS
}

/** More edges than any plan has. */
const PARTIALS = 1 << 24
