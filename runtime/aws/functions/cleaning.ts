import type { Clearing } from '../../ports.ts'
import { openCleaner } from './clean.ts'
import type { Environment } from './environment.ts'
import type { InvocationContext } from './event.ts'

/**
 * Has the controller's function clean up behind what it is called for: with each complete checkpoint, and each look that finds nothing to do, so that an idle pipeline is cleaned too.
 */
export function cleaningBehind<E extends { readonly step: string }, A extends object>(
  environment: Environment,
  clearing: Clearing,
  handler: (event: E, context: InvocationContext) => Promise<A>,
): (event: E, context: InvocationContext) => Promise<A> {
  const clean = openCleaner(environment, clearing)
  return async (event, context) => {
    const answer: A & { readonly looked?: string } = await handler(event, context)
    if (event.step === 'complete' || 'nothing' in answer || answer.looked === 'nothing') await clean()
    return answer
  }
}
