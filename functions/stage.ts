import app from 'millrace:pipeline'
import { awsEnvironment } from '../runtime/aws/functions/aws-environment.ts'
import type { InvocationContext } from '../runtime/aws/functions/event.ts'
import { type JoinEvent, joinHandler } from '../runtime/aws/functions/join-source.ts'
import { stageHandler } from '../runtime/aws/functions/stage.ts'

const environment = awsEnvironment(app)
const stage = stageHandler(environment)
const join = joinHandler(environment)

/** Called by the stage's event source mapping, and of a source stage by `millrace start`, when its run has begun with a checkpoint. */
export const handler = (event: Parameters<typeof stage>[0] | JoinEvent, context: InvocationContext) =>
  'join' in event ? join(event, context) : stage(event, context)
