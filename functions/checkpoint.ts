import app from 'millrace:pipeline'
import { awsClearing } from '../runtime/aws/clearing.ts'
import { awsEnvironment } from '../runtime/aws/functions/aws-environment.ts'
import { type CheckpointAnswer, type CheckpointEvent, checkpointHandler } from '../runtime/aws/functions/checkpoint.ts'
import { cleaningBehind } from '../runtime/aws/functions/cleaning.ts'
import type { InvocationContext } from '../runtime/aws/functions/event.ts'
import { awsExecutions } from '../runtime/aws/functions/executions.ts'
import { type LookEvent, type Looked, lookHandler } from '../runtime/aws/functions/look.ts'

const environment = awsEnvironment(app)
const deadline = () => environment.deadline
const { tables, bucket } = environment.settings
const step = checkpointHandler(environment)
const look = lookHandler(environment, awsExecutions(deadline))

/** Called by the state machine for its steps, and by the schedule for a look at whether it has to run. */
export const handler = cleaningBehind(
  environment,
  awsClearing({ tables, bucket, prefix: '', deadline }),
  (event: CheckpointEvent | LookEvent, context: InvocationContext): Promise<CheckpointAnswer | Looked> =>
    event.step === 'look' ? look(event, context) : step(event, context),
)
