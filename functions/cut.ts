import app from 'millrace:pipeline'
import { awsEnvironment } from '../runtime/aws/functions/aws-backing.ts'
import { cutHandler } from '../runtime/aws/functions/cut.ts'

export const handler = cutHandler(awsEnvironment(app))
