import app from 'millrace:pipeline'
import { awsEnvironment } from '../runtime/aws/functions/aws-backing.ts'
import { checkpointHandler } from '../runtime/aws/functions/checkpoint.ts'

export const handler = checkpointHandler(awsEnvironment(app))
