import app from 'millrace:pipeline'
import { backfillHandler } from '../runtime/aws/functions/backfill.ts'
import { backfillBacking } from '../runtime/aws/functions/backfill-backing.ts'
import { readSettings } from '../runtime/aws/functions/settings.ts'

const settings = readSettings(process.env)

export const handler = backfillHandler(app, settings, deadline => backfillBacking(settings, deadline))
