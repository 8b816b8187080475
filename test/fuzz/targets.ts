import type { Target } from './target.ts'
import { archives } from './targets/archives.ts'
import { commandLines } from './targets/arguments.ts'
import { changes } from './targets/changes.ts'
import { events } from './targets/events.ts'
import { frames } from './targets/frames.ts'
import { manifests } from './targets/manifests.ts'
import { plans } from './targets/plans.ts'
import { records } from './targets/records.ts'
import { savepoints } from './targets/savepoints.ts'
import { segments } from './targets/segments.ts'
import { slots } from './targets/slots.ts'

export const TARGETS: readonly Target[] = [
  frames,
  slots,
  changes,
  segments,
  manifests,
  savepoints,
  records,
  archives,
  events,
  plans,
  commandLines,
]
