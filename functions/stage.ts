import app from 'millrace:pipeline'
import { awsEnvironment } from '../runtime/aws/functions/aws-environment.ts'
import { stageHandler } from '../runtime/aws/functions/stage.ts'

export const handler = stageHandler(awsEnvironment(app))
