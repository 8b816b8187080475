import app from 'millrace:pipeline'
import { awsEnvironment } from '../runtime/aws/functions/aws-environment.ts'
import type { InvocationContext } from '../runtime/aws/functions/event.ts'
import type { JoinEvent } from '../runtime/aws/functions/join-source.ts'
import { stageHandler } from '../runtime/aws/functions/stage.ts'

const environment = awsEnvironment(app)
const stage = stageHandler(environment)

/** Called by the stage's event source mapping, and of a source stage by `millrace start`, when its run has begun with a checkpoint. */
export const handler = async (event: Parameters<typeof stage>[0] | JoinEvent, context: InvocationContext) => {
  if (!('join' in event)) return stage(event, context)
  const { joinHandler } = await import('../runtime/aws/functions/join-source.ts')
  return joinHandler(environment)(event, context)
}
