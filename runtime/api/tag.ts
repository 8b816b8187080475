import type { OutputTag } from '../operators/output-tag.ts'
import { PipelineError } from './error.ts'

/**
 * Names a side output and the type of its records. Emit to it with `ctx.output(tag, value)`, read it with `stream.sideOutput(tag)`.
 *
 * @example
 * const alerts = sideOutput<Alert>('alerts')
 * const checked = events.process((event, ctx) => {
 *   if (event.amount > 1000) ctx.output(alerts, { user: event.user_id })
 *   return [event]
 * })
 * checked.sideOutput(alerts).sink('alerts', print())
 */
export function sideOutput<T>(name: string): OutputTag<T> {
  if (typeof name !== 'string' || name === '') {
    throw new PipelineError('sideOutput', 'it has no name', "Write sideOutput<Alert>('alerts')")
  }
  if (name === 'out') throw new PipelineError(`sideOutput('out')`, 'this is the name of the main output', 'Choose another one')
  return { id: name }
}
