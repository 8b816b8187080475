import { awsBacking } from '../runtime/aws/functions/aws-backing.ts'
import { compatibleHandler } from '../runtime/aws/functions/compatible.ts'
import { readSettings } from '../runtime/aws/functions/settings.ts'

export const handler = compatibleHandler(awsBacking(readSettings(process.env), () => undefined).ports)
