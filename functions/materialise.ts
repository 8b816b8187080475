import app from 'millrace:pipeline'
import { awsEnvironment } from '../runtime/aws/functions/aws-environment.ts'
import { materialiseHandler } from '../runtime/aws/functions/materialise.ts'

export const handler = materialiseHandler(awsEnvironment(app))
