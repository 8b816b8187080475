import app from 'millrace:pipeline'
import { awsEnvironment } from '../runtime/aws/functions/aws-environment.ts'
import { type CheckpointEvent, checkpointHandler } from '../runtime/aws/functions/checkpoint.ts'
import type { InvocationContext } from '../runtime/aws/functions/event.ts'
import { awsExecutions } from '../runtime/aws/functions/executions.ts'
import { type LookEvent, lookHandler } from '../runtime/aws/functions/look.ts'

const environment = awsEnvironment(app)
const step = checkpointHandler(environment)
const look = lookHandler(
  environment,
  awsExecutions(() => environment.deadline),
)

/** Called by the state machine for its steps, and by the schedule for a look at whether it has to run. */
export const handler = (event: CheckpointEvent | LookEvent, context: InvocationContext) =>
  event.step === 'look' ? look(event, context) : step(event, context)
