import { type WindowOptions, windowPlan } from '../windows/options.ts'
import type { KeyedOperator } from './keyed-operator.ts'
import { PaneWindowOperator } from './pane-window.ts'
import { SessionWindowOperator } from './session-window.ts'
import { WindowOperator } from './window.ts'

/**
 * The operator for these windows: the cheapest that gives their results. Its state declarations are `windowStates(options)`. Throws
 * MillraceError for options that no operator can serve.
 *
 * @example
 * createWindowOperator({ name: 'activity', assigner: sliding('30m', '1m'), aggregate: count() })
 */
export function createWindowOperator(options: WindowOptions): KeyedOperator {
  const plan = windowPlan(options)
  if (plan === 'panes') return new PaneWindowOperator(options)
  if (plan === 'sessions') return new SessionWindowOperator(options)
  return new WindowOperator(options)
}
