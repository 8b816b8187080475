import app from 'millrace:pipeline'
import { awsEnvironment } from '../runtime/aws/functions/aws-environment.ts'
import { cutHandler } from '../runtime/aws/functions/cut.ts'

export const handler = cutHandler(awsEnvironment(app))
