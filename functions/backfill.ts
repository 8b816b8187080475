import app from 'millrace:pipeline'
import { awsBacking } from '../runtime/aws/functions/aws-backing.ts'
import { backfillHandler } from '../runtime/aws/functions/backfill.ts'
import { readSettings } from '../runtime/aws/functions/settings.ts'

const settings = readSettings(process.env)

export const handler = backfillHandler(app, settings, deadline => awsBacking(settings, deadline))
